"""By what rules features are ranked: from the configuration, and to and from the JSON that accompanies figures."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, get_args

from xreid_plugin.evaluation.matching import SameCamera


@dataclass(frozen=True)
class Expansion:
    """The host's query expansion, which replaces every feature by a weighted mean of its neighbours.

    Attributes:
        times: how often (TEST.AQE.QE_TIME).
        k: number of neighbours that are averaged, the feature itself among them (TEST.AQE.QE_K).
        alpha: power of the cosine that weighs them, at least 0 (TEST.AQE.ALPHA).
    """

    times: int = 1
    k: int = 5
    alpha: float = 3.0

    def __post_init__(self) -> None:
        _at_least_one("TEST.AQE", QE_TIME=self.times, QE_K=self.k)
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"TEST.AQE.ALPHA is {self.alpha}; it must be a number, 0 or more, such as 3.")


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

    def __post_init__(self) -> None:
        _at_least_one("TEST.RERANK", K1=self.k1, K2=self.k2)
        if not 0 <= self.weight <= 1:
            raise ValueError(f"TEST.RERANK.LAMBDA is {self.weight}; it must lie in 0..1.")


@dataclass(frozen=True)
class Temporal:
    """Temporal re-ranking of BUPTCampus's authors, which compares the halves of tracklets as well.

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

    def __post_init__(self) -> None:
        _at_least_one("TEST.RERANK.TEMPORAL", K1=self.k1, K2=self.k2)
        if not (0 <= self.lambda1 <= 1 and self.lambda2 >= 0):
            raise ValueError(
                f"TEST.RERANK.TEMPORAL.LAMBDA1 is {self.lambda1} and LAMBDA2 {self.lambda2}; the first must lie in "
                "0..1, the second must not be negative."
            )


@dataclass(frozen=True)
class RankingRules:
    """Everything besides the features that figures depend on.

    Attributes:
        same_camera: "exclude" hides gallery entries of the query's identity and camera, "keep" ranks them.
        expansion: applied before any distance, or None.
        rerank: settings of re-ranking; each gives a ranking besides the raw one.
        temporal: settings of temporal re-ranking, which needs features of the halves, or None.
        roc: whether to compute verification figures.
    """

    same_camera: SameCamera = "exclude"
    expansion: Expansion | None = None
    rerank: tuple[KReciprocal, ...] = ()
    temporal: Temporal | None = None
    roc: bool = False

    def __post_init__(self) -> None:
        if self.same_camera not in get_args(SameCamera):
            raise ValueError(f'TEST.SAME_CAMERA is "{self.same_camera}"; it must be "exclude" or "keep".')

    @classmethod
    def from_config(cls, cfg: Any) -> Self:
        """The rules of TEST.

        Raises:
            ValueError: names the key that is out of range.
        """
        aqe, rerank, temporal = cfg.TEST.AQE, cfg.TEST.RERANK, cfg.TEST.RERANK.TEMPORAL
        return cls(
            same_camera=cfg.TEST.SAME_CAMERA,
            expansion=Expansion(aqe.QE_TIME, aqe.QE_K, aqe.ALPHA) if aqe.ENABLED else None,
            rerank=(KReciprocal(rerank.K1, rerank.K2, rerank.LAMBDA),) if rerank.ENABLED else (),
            temporal=(
                Temporal(temporal.K1, temporal.K2, temporal.LAMBDA1, temporal.LAMBDA2) if temporal.ENABLED else None
            ),
            roc=cfg.TEST.ROC.ENABLED,
        )

    def as_json(self) -> dict[str, object]:
        """What a protocol records; :meth:`from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, protocol: Mapping[str, Any]) -> Self:
        """The rules that a protocol states; what it does not state has the default.

        Raises:
            ValueError: an entry has another form than :meth:`as_json` gives it.
        """
        expansion, temporal = protocol.get("expansion"), protocol.get("temporal")
        try:
            return cls(
                same_camera=protocol.get("same_camera", "exclude"),
                expansion=None if expansion is None else Expansion(**expansion),
                rerank=tuple(KReciprocal(**setting) for setting in protocol.get("rerank", ())),
                temporal=None if temporal is None else Temporal(**temporal),
                roc=bool(protocol.get("roc", False)),
            )
        except TypeError as error:
            raise ValueError(f"the protocol's ranking rules cannot be read: {error}") from error


def _at_least_one(node: str, **values: int) -> None:
    for key, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{node}.{key} is {value}; it must be a whole number, at least 1.")
