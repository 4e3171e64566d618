"""Features to metrics under a protocol, the same way for an evaluation during a run and for a later one from a file.

Shapes: Q queries, G gallery entries, N = Q + G, F dimensions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Self

import torch
from torch.nn import functional as F

from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import (
    Array,
    RankMetrics,
    SameCamera,
    as_float32,
    cosine_distance,
    rank_metrics,
    rank_metrics_from_features,
    seen_pairs,
    tpr_at_fpr,
)
from xreid_plugin.evaluation.rerank import (
    Expansion,
    KReciprocal,
    Temporal,
    jaccard_distance,
    query_expansion,
    temporal_jaccard_distance,
)
from xreid_plugin.host import resolve_device

RANKS = (1, 5, 10, 20)
METRICS = (*(f"Rank-{rank}" for rank in RANKS), "mAP", "mINP")
FALSE_POSITIVE_RATES = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class RankingProtocol:
    """Everything besides the features that metrics depend on.

    Attributes:
        same_camera: "exclude" hides gallery entries of the query's identity and camera, "keep" ranks them.
        expansion: applied before any distance, or None.
        rerank: settings of re-ranking; each gives a ranking besides the raw one.
        temporal: settings of temporal re-ranking, which needs features of the halves, or None.
        roc: whether to compute verification metrics.
    """

    same_camera: SameCamera = "exclude"
    expansion: Expansion | None = None
    rerank: tuple[KReciprocal, ...] = ()
    temporal: Temporal | None = None
    roc: bool = False

    @classmethod
    def from_config(cls, cfg: Any) -> Self:
        """The protocol of TEST."""
        aqe, rerank, halves = cfg.TEST.AQE, cfg.TEST.RERANK, cfg.TEST.RERANK.TEMPORAL
        return cls(
            same_camera=cfg.TEST.SAME_CAMERA,
            expansion=Expansion(aqe.QE_TIME, aqe.QE_K, aqe.ALPHA) if aqe.ENABLED else None,
            rerank=(KReciprocal(rerank.K1, rerank.K2, rerank.LAMBDA),) if rerank.ENABLED else (),
            temporal=Temporal(halves.K1, halves.K2, halves.LAMBDA1, halves.LAMBDA2) if halves.ENABLED else None,
            roc=cfg.TEST.ROC.ENABLED,
        )

    @classmethod
    def from_json(cls, protocol: Mapping[str, Any]) -> Self:
        """The protocol that a file states, as ``asdict`` gives it; what it leaves out has the default.

        Raises:
            ValueError: a same-camera protocol that does not exist.
        """
        expansion, temporal = protocol.get("expansion"), protocol.get("temporal")
        same_camera = protocol.get("same_camera", "exclude")
        if same_camera not in ("exclude", "keep"):
            raise ValueError(f'same_camera must be "exclude" or "keep", not {same_camera!r}')
        return cls(
            same_camera=same_camera,
            expansion=Expansion(**expansion) if expansion else None,
            rerank=tuple(KReciprocal(**setting) for setting in protocol.get("rerank", ())),
            temporal=Temporal(**temporal) if temporal else None,
            roc=bool(protocol.get("roc", False)),
        )


@dataclass(frozen=True, eq=False)
class Ranking:
    """One direction, ranked one way.

    Attributes:
        direction: "I2V" or "V2I".
        method: the re-ranking; None for the cosine distance itself.
        result: the metrics as fractions, with those of each query.
        rates: TPR@FPR by name, in percent, where the protocol asks for it.
    """

    direction: str
    method: KReciprocal | Temporal | None
    result: RankMetrics
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """By name, in percent: Rank-1, 5, 10, 20, mAP, mINP and the rates."""
        values = [*map(self.result.rank, RANKS), self.result.mAP, self.result.mINP]
        return {**{name: 100 * float(value) for name, value in zip(METRICS, values, strict=True)}, **self.rates}

    @property
    def label(self) -> str:
        """The direction, and how it was re-ranked: "I2V", "I2V-reranked" or "I2V-temporal"."""
        if self.method is None:
            return self.direction
        return f"{self.direction}-{'temporal' if isinstance(self.method, Temporal) else 'reranked'}"


def rankings(
    data: TrackletFeatures, protocol: RankingProtocol, device: torch.device | str | None = None
) -> Iterator[Ranking]:
    """Ranks every direction by the cosine distance, then by each re-ranking of the protocol.

    One direction's features and at most three of its Q x G matrices exist at a time. Without a device, ranking happens
    where the features are, or for arrays on a GPU, if there is one.

    Yields:
        For each direction the raw ranking, then the re-ranked in the order of the protocol, then the temporal.

    Raises:
        ValueError: features that are not finite, a direction without a single query that has a match, or a protocol
            that needs more than ``data`` holds.
    """
    if protocol.temporal and (data.first_half is None or data.second_half is None):
        raise ValueError("temporal re-ranking needs features of the first and of the second half of every tracklet")
    if device is None:
        device = data.features.device if isinstance(data.features, torch.Tensor) else resolve_device("auto")
    for direction, task in data.tasks.items():
        labels = [values[list(side)] for values in (data.pids, data.camids) for side in task]
        if not (protocol.rerank or protocol.temporal or protocol.roc):
            sides = _sides(data.features, task, protocol.expansion, device)
            yield Ranking(
                direction, None, rank_metrics_from_features(*sides, *labels, same_camera=protocol.same_camera)
            )
            continue
        for method, distance in _distances(data, task, protocol, device):
            result, rates = rank_metrics(distance, *labels, same_camera=protocol.same_camera), {}
            if protocol.roc:
                seen, different = seen_pairs(*labels, same_camera=protocol.same_camera)
                found = tpr_at_fpr(distance.cpu().numpy()[seen], different[seen], FALSE_POSITIVE_RATES)
                rates = {f"TPR@FPR={fpr:.0e}": 100 * tpr for fpr, tpr in found.items()}
            yield Ranking(direction, method, result, rates)


def _distances(
    data: TrackletFeatures, task: RetrievalTask, protocol: RankingProtocol, device: torch.device | str
) -> Iterator[tuple[KReciprocal | Temporal | None, torch.Tensor]]:
    """(Q, G) of each ranking; encodings, which take long, are made once for all weights λ that follow one another."""
    queries, gallery = _sides(data.features, task, protocol.expansion, device)
    cosine = cosine_distance(queries, gallery)
    yield None, cosine
    both = torch.cat([queries, gallery])
    # Of unit rows the nearest by Euclidean distance are the nearest by cosine.
    units = F.normalize(both)
    for (k1, k2), settings in groupby(protocol.rerank, lambda setting: (setting.k1, setting.k2)):
        jaccard = torch.from_numpy(jaccard_distance(units, len(queries), k1, k2, device)).to(device)
        for setting in settings:
            yield setting, jaccard * (1 - setting.weight) + cosine * setting.weight
    if protocol.temporal and data.first_half is not None and data.second_half is not None:
        halves = data.first_half, data.second_half
        first, second = (torch.cat(_sides(half, task, protocol.expansion, device)) for half in halves)
        distance = temporal_jaccard_distance(both, first, second, len(queries), protocol.temporal, device)
        yield protocol.temporal, torch.from_numpy(distance)


def _sides(
    features: Array, task: RetrievalTask, expansion: Expansion | None, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, F) -> the (Q, F) and (G, F) of a direction, expanded if that is wanted."""
    queries, gallery = (as_float32(features)[list(side)].to(device) for side in task)
    if expansion is None:
        return queries, gallery
    if len(queries) + len(gallery) < expansion.k:
        raise ValueError(
            f"TEST.AQE.QE_K is {expansion.k}; a direction has only {len(queries) + len(gallery)} tracklets"
        )
    both = query_expansion(torch.cat([queries, gallery]), expansion)
    return both[: len(queries)], both[len(queries) :]
