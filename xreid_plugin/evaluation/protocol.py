"""The protocol by which features are ranked: from the configuration, and to and from the JSON beside the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from xreid_plugin.evaluation.metrics import SameCamera


@dataclass(frozen=True)
class Expansion:
    """Query expansion, which replaces every feature by a weighted mean of its neighbours.

    Attributes:
        times: how often (TEST.AQE.QE_TIME).
        k: number of neighbours that are averaged, the feature itself among them (TEST.AQE.QE_K).
        alpha: power of the cosine that weighs them, at least 0 (TEST.AQE.ALPHA).
    """

    times: int = 1
    k: int = 5
    alpha: float = 3.0


@dataclass(frozen=True)
class KReciprocal:
    """Re-ranking with k-reciprocal encoding, by jaccard·(1 − λ) + cosine distance·λ (Zhong et al., CVPR 2017).

    Attributes:
        k1: neighbours that make an encoding (TEST.RERANK.K1).
        k2: neighbours over which encodings are averaged (TEST.RERANK.K2).
        weight: λ, 0..1 (TEST.RERANK.LAMBDA).
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3


@dataclass(frozen=True)
class Temporal:
    """Re-ranking that compares the halves of tracklets as well. [D]

    Attributes:
        k1: neighbours that make an encoding (TEST.RERANK.TEMPORAL.K1).
        k2: neighbours over which encodings are averaged (TEST.RERANK.TEMPORAL.K2).
        lambda1: weight of the distance before re-ranking, 0..1 (TEST.RERANK.TEMPORAL.LAMBDA1).
        lambda2: weight of each of the two comparisons of halves, at least 0 (TEST.RERANK.TEMPORAL.LAMBDA2).
    """

    k1: int = 5
    k2: int = 3
    lambda1: float = 0.8
    lambda2: float = 0.1


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
        aqe, rerank, temporal = cfg.TEST.AQE, cfg.TEST.RERANK, cfg.TEST.RERANK.TEMPORAL
        halves = Temporal(temporal.K1, temporal.K2, temporal.LAMBDA1, temporal.LAMBDA2) if temporal.ENABLED else None
        return cls(
            same_camera=cfg.TEST.SAME_CAMERA,
            expansion=Expansion(aqe.QE_TIME, aqe.QE_K, aqe.ALPHA) if aqe.ENABLED else None,
            rerank=(KReciprocal(rerank.K1, rerank.K2, rerank.LAMBDA),) if rerank.ENABLED else (),
            temporal=halves,
            roc=cfg.TEST.ROC.ENABLED,
        )

    @classmethod
    def from_json(cls, protocol: Mapping[str, Any]) -> Self:
        """The protocol that a file states, as ``asdict`` gives it; what it leaves out has the default."""
        expansion, temporal = protocol.get("expansion"), protocol.get("temporal")
        return cls(
            same_camera=protocol.get("same_camera", "exclude"),
            expansion=Expansion(**expansion) if expansion else None,
            rerank=tuple(KReciprocal(**setting) for setting in protocol.get("rerank", ())),
            temporal=Temporal(**temporal) if temporal else None,
            roc=bool(protocol.get("roc", False)),
        )
