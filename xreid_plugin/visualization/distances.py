"""How far tracklets of one person and of different people lie apart, within a modality and across modalities."""

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import SameCamera, as_float32, chunk_rows
from xreid_plugin.visualization.panels import Panel, legend_below
from xreid_plugin.visualization.theme import Theme

EDGES = np.linspace(0, 2, 101)
_TITLES = {False: "Distances within a modality", True: "Distances across modalities"}
_ROOM = 0.02


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Pairs of test tracklets by their cosine distance; each pair counts once.

    Attributes:
        same: (bins,) int64, pairs of one person, in equal bins over EDGES.
        different: likewise, pairs of different people.
    """

    same: NDArray[np.int64]
    different: NDArray[np.int64]

    def coarse(self, joined: int) -> "PairCounts":
        """The same counts with ``joined`` bins merged into one; it divides their number."""
        return PairCounts(*(counts.reshape(-1, joined).sum(1) for counts in (self.same, self.different)))

    @property
    def overlap(self) -> float:
        """The area that the two histograms share, each of area 1: at 0 a threshold separates all pairs, at 1 none.

        NaN if one of the two kinds has no pair.
        """
        if not (self.same.any() and self.different.any()):
            return float("nan")
        return float(np.minimum(self.same / self.same.sum(), self.different / self.different.sum()).sum())


def pair_counts(data: TrackletFeatures, same_camera: SameCamera = "exclude") -> dict[bool, PairCounts]:
    """Counts every pair of test tracklets.

    Args:
        data: features of the test set.
        same_camera: "exclude" leaves out pairs of one person by one camera, as the ranking does.

    Returns:
        The counts by whether a pair is across modalities.
    """
    units = F.normalize(as_float32(data.features)).cpu().numpy()
    counts: dict[tuple[bool, bool], NDArray[np.int64]] = {
        (crosses, same): np.zeros(len(EDGES) - 1, np.int64) for crosses in (False, True) for same in (False, True)
    }
    rows = chunk_rows(len(units))
    # None leaves it to tqdm, which is quiet without a terminal.
    for start in tqdm(range(0, len(units), rows), desc="Distances", unit="block", leave=False, disable=None):
        ours = np.arange(start, min(start + rows, len(units)))[:, None]
        others = np.arange(len(units))
        distances = np.clip(1 - units[ours[:, 0]] @ units.T, 0, 2)
        same = data.pids[ours] == data.pids
        hidden = same & (data.camids[ours] == data.camids) & (same_camera == "exclude")
        seen = (others > ours) & ~hidden
        crosses = data.modalities[ours] != data.modalities
        for (across, alike), total in counts.items():
            wanted = distances[seen & (crosses == across) & (same == alike)]
            total += np.histogram(wanted, EDGES)[0]
    return {across: PairCounts(counts[across, True], counts[across, False]) for across in (False, True)}


def distance_panels(counts: Mapping[bool, PairCounts]) -> list[Panel]:
    """One panel within a modality and one across, with the same bins and axes, so that the two can be compared."""
    joined = bins_to_join(counts.values())
    parts = {across: part.coarse(joined) for across, part in counts.items()}
    limits = limits_of(parts.values())
    return [
        Panel(
            _TITLES[across],
            f"Histograms of cosine distances: {part.same.sum()} pairs of the same person and {part.different.sum()} "
            f"of different people; they overlap by {_percent(part.overlap)}.",
            functools.partial(_draw, part=part, limits=limits),
        )
        for across, part in parts.items()
    ]


def bins_to_join(parts: Iterable[PairCounts]) -> int:
    """How many bins to join, where pairs of one kind are so few that most bins would hold none or one."""
    fewest = min(counts.sum() for part in parts for counts in (part.same, part.different))
    return 5 if fewest < 500 else 2 if fewest < 5000 else 1


class Limits(NamedTuple):
    """Limits of a histogram's axes.

    Attributes:
        distances: the lowest and the highest.
        share: the highest, 0..1.
    """

    distances: tuple[float, float]
    share: float


def limits_of(parts: Collection[PairCounts]) -> Limits:
    """The limits around all bins of all parts that are not empty."""
    histograms = [counts for part in parts for counts in (part.same, part.different)]
    filled = np.flatnonzero(sum(histograms))
    if not len(filled):
        return Limits((EDGES[0], EDGES[-1]), 1.0)
    edges = _edges(len(histograms[0]))
    highest = max(float(_shares(counts).max()) for counts in histograms)
    return Limits((edges[filled[0]] - _ROOM, edges[filled[-1] + 1] + _ROOM), 1.05 * highest)


def _edges(bins: int) -> NDArray[np.float64]:
    return np.linspace(EDGES[0], EDGES[-1], bins + 1)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts / max(1, counts.sum())


def _draw(figure: FigureBase, theme: Theme, part: PairCounts, limits: Limits) -> None:
    axes = figure.subplots()
    styles: dict[str, dict[str, Any]] = {
        "same": {"fill": True, "alpha": 0.55, "color": theme.series[0], "linewidth": 0},
        "different": {"fill": False, "edgecolor": theme.series[1], "linewidth": 1.8},
    }
    labels = {"same": "the same person", "different": "different people"}
    for name, style in styles.items():
        found = getattr(part, name)
        label = f"{labels[name]} ({found.sum():,} pairs)"
        axes.stairs(_shares(found), _edges(len(found)), label=label, **style)
    axes.set(xlim=limits.distances, ylim=(0, limits.share))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_xlabel(f"cosine distance; the two overlap by {_percent(part.overlap)}")
    axes.set_ylabel("share of the pairs")
    axes.grid(axis="y")
    legend_below(figure, axes)


def _percent(share: float) -> str:
    return "an unknown share" if np.isnan(share) else f"{100 * share:.0f} %"
