"""Features to figures, the same way for an evaluation during a run and for a later one from a file.

Shapes: Q queries, G gallery entries, N = Q + G, F dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from fastreid.evaluation.query_expansion import aqe
from torch.nn import functional as F

from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation.distances import as_float32, blocks_of_features
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.matching import Array
from xreid_plugin.evaluation.ranking import RankMetrics, rank_metrics, rank_metrics_from_features
from xreid_plugin.evaluation.rerank import blend, jaccard_distance, temporal_jaccard_distance
from xreid_plugin.evaluation.roc import tpr_at_fpr
from xreid_plugin.evaluation.rules import Expansion, KReciprocal, RankingRules, Temporal
from xreid_plugin.host import resolve_device

RANKS = (1, 5, 10, 20)
FIGURES = (*(f"Rank-{rank}" for rank in RANKS), "mAP", "mINP")
FALSE_POSITIVE_RATES = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True, eq=False)
class Ranking:
    """One direction, ranked one way.

    Attributes:
        direction: "I2V" or "V2I".
        method: the re-ranking; None for the cosine distance itself.
        metrics: the metrics of this ranking.
        figures: the figures by name, in percent: Rank-1, 5, 10, 20, mAP, mINP, and TPR@FPR where the rules ask for it.
    """

    direction: str
    method: KReciprocal | Temporal | None
    metrics: RankMetrics
    figures: dict[str, float]

    @property
    def label(self) -> str:
        """The direction, and how it was re-ranked: "I2V", "I2V-reranked" or "I2V-temporal"."""
        if self.method is None:
            return self.direction
        return f"{self.direction}-{'temporal' if isinstance(self.method, Temporal) else 'reranked'}"


def rankings(
    data: TrackletFeatures, rules: RankingRules, device: torch.device | str | None = None
) -> Iterator[Ranking]:
    """Ranks every direction by the cosine distance, then by each re-ranking of the rules.

    One direction's features and at most three of its Q x G matrices exist at a time.

    Args:
        data: features and what they belong to.
        rules: the rules to rank by.
        device: where to rank; None: where the features are, or for arrays a GPU, if there is one.

    Yields:
        For each direction the raw ranking, then the re-ranked in the order of the rules, then the temporal.

    Raises:
        ValueError: features that are not finite, a direction without a single query that has a match, or rules that
            need more than ``data`` holds.
    """
    if rules.temporal and (data.first_half is None or data.second_half is None):
        raise ValueError("temporal re-ranking needs features of the first and of the second half of every tracklet")
    if device is None:
        device = data.features.device if isinstance(data.features, torch.Tensor) else resolve_device("auto")
    for direction, task in data.tasks.items():
        yield from _Direction(direction, task, data, rules, torch.device(device)).rankings()


class _Direction:
    """One retrieval task with its share of the features."""

    def __init__(
        self, name: str, task: RetrievalTask, data: TrackletFeatures, rules: RankingRules, device: torch.device
    ) -> None:
        self.name = name
        self.task = task
        self.data = data
        self.rules = rules
        self.device = device
        query, gallery = list(task.query), list(task.gallery)
        pids, camids = data.pids, data.camids
        self.sides = (pids[query], pids[gallery], camids[query], camids[gallery], rules.same_camera)

    def rankings(self) -> Iterator[Ranking]:
        queries, gallery = self.of(self.data.features)
        if not (self.rules.rerank or self.rules.roc):
            metrics = rank_metrics_from_features(queries, gallery, *self.sides, ranks=RANKS)
            yield Ranking(self.name, None, metrics, figures(metrics))
        else:
            yield from self.by_matrix(queries, gallery)
        if self.rules.temporal:
            yield self.by_halves(self.rules.temporal, queries, gallery)

    def by_matrix(self, queries: torch.Tensor, gallery: torch.Tensor) -> Iterator[Ranking]:
        """Raw and re-ranked; encodings, which take long, are made once for all weights λ that follow one another."""
        cosine = cosine_distance(queries, gallery)
        yield self.ranked(None, cosine)
        # Of unit rows the nearest by Euclidean distance are the nearest by cosine.
        both = F.normalize(torch.cat([queries, gallery]))
        for (k1, k2), settings in groupby(self.rules.rerank, lambda setting: (setting.k1, setting.k2)):
            jaccard = torch.from_numpy(jaccard_distance(both, len(queries), k1, k2, self.device)).to(self.device)
            for setting in settings:
                yield self.ranked(setting, blend(cosine, jaccard, setting.weight))

    def by_halves(self, method: Temporal, queries: torch.Tensor, gallery: torch.Tensor) -> Ranking:
        assert self.data.first_half is not None
        assert self.data.second_half is not None
        distance = temporal_jaccard_distance(
            torch.cat([queries, gallery]),
            torch.cat(self.of(self.data.first_half)),
            torch.cat(self.of(self.data.second_half)),
            len(queries),
            k1=method.k1,
            k2=method.k2,
            lambda1=method.lambda1,
            lambda2=method.lambda2,
            device=self.device,
        )
        return self.ranked(method, distance)

    def of(self, features: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, F) -> the (Q, F) and (G, F) of this direction, expanded if the rules say so."""
        queries, gallery = (as_float32(features)[list(side)].to(self.device) for side in self.task)
        if self.rules.expansion is None:
            return queries, gallery
        return expanded(queries, gallery, self.rules.expansion)

    def ranked(self, method: KReciprocal | Temporal | None, distance: Array) -> Ranking:
        metrics = rank_metrics(distance, *self.sides, ranks=RANKS)
        found = figures(metrics)
        if self.rules.roc:
            rates = tpr_at_fpr(distance, *self.sides, fprs=FALSE_POSITIVE_RATES)
            found |= {f"TPR@FPR={fpr:.0e}": 100 * tpr for fpr, tpr in rates.items()}
        return Ranking(self.name, method, metrics, found)


def cosine_distance(queries: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """(Q, F), (G, F) of any norm -> (Q, G) on their device: exactly the distances that a ranking from features uses."""
    blocks = blocks_of_features(queries, gallery, (len(queries), len(gallery)), None)
    return torch.cat([block for _, block in blocks])


def expanded(queries: torch.Tensor, gallery: torch.Tensor, expansion: Expansion) -> tuple[torch.Tensor, torch.Tensor]:
    """The host's query expansion of (Q, F) and (G, F) float32 features, which it takes as they are, of any norm.

    A power that is not a whole number is undefined for a negative cosine, for which the host gives NaN: a neighbour
    that far away does not count here. [D]

    Raises:
        ValueError: there are not more features than neighbours.
    """
    count = len(queries) + len(gallery)
    if count <= expansion.k:
        raise ValueError(
            f"TEST.AQE.QE_K is {expansion.k}, but a direction has {count} tracklets; it must be below that."
        )
    if not float(expansion.alpha).is_integer():
        new_features = _expanded_by_fractional_power(torch.cat([queries, gallery]), expansion)
        return new_features[: len(queries)], new_features[len(queries) :]
    # The host's code goes through NumPy.
    new_queries, new_gallery = aqe(queries.cpu(), gallery.cpu(), expansion.times, expansion.k, expansion.alpha)
    return new_queries.to(queries.device), new_gallery.to(queries.device)


def _expanded_by_fractional_power(features: torch.Tensor, expansion: Expansion) -> torch.Tensor:
    for _ in range(expansion.times):
        units = F.normalize(features)
        cosines, nearest = (units @ units.t()).topk(expansion.k)
        weights = cosines.clamp(min=0).pow(expansion.alpha)
        features = (weights[:, :, None] * features[nearest]).mean(1)
    return features


def figures(metrics: RankMetrics) -> dict[str, float]:
    """Rank-1, 5, 10, 20, mAP and mINP of a ranking, in percent."""
    values = [*(metrics.cmc[rank] for rank in RANKS), metrics.mAP, metrics.mINP]
    return {name: 100 * float(value) for name, value in zip(FIGURES, values, strict=True)}
