"""Where test tracklets lie: a map of both modalities, the gap between them as a number, and similarities of pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch.nn import functional as F

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import as_float32, chunk_rows, seen_pairs
from xreid_plugin.evaluation.ranking import RankingProtocol
from xreid_plugin.visualization.panels import Panel, Theme, legend_below

MOST_POINTS = 3000
EDGES = np.linspace(-1, 1, 101)  # of the bins of similarities
_PERPLEXITY = 30.0
_SHOWN_IDENTITIES = 7
_MARKERS = {Modality.INFRARED: "o", Modality.VISIBLE: "^"}


def modality_gap(units: NDArray[np.float32], modalities: NDArray[np.int64]) -> float:
    """How far the modalities lie apart, relative to how far each is spread.

    gap = ‖m_r − m_v‖ / ((s_r + s_v) / 2), where m is the mean of a modality's features, of unit length each, and s the
    mean Euclidean distance of those features to m. 0: the means coincide; at 1 they are as far apart as a feature is
    from its own modality's mean. [D] Of (n, F) rows of unit length and (n,) values of Modality, both of which occur.
    """
    sides = [units[modalities == modality].astype(np.float64) for modality in Modality]
    means = [side.mean(0) for side in sides]
    spreads = [np.linalg.norm(side - mean, axis=1).mean() for side, mean in zip(sides, means, strict=True)]
    return float(np.linalg.norm(means[0] - means[1]) / np.mean(spreads))


def embedding_map(units: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """(n, F) -> (n, 2): t-SNE by the cosine distance, from principal components; on one machine always the same."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(_PERPLEXITY, (len(units) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=seed, n_jobs=1)
    # Several threads would sum in varying order, and gain nothing at this size.
    with threadpool_limits(1):
        points: NDArray[np.float32] = tsne.fit_transform(units)
    return points


def map_panels(data: TrackletFeatures, seed: int = 0, most: int = MOST_POINTS) -> list[Panel]:
    """The map of at most ``most`` tracklets, chosen by lot, by modality with the gap, and the same by identity.

    Raises:
        ValueError: a modality without a tracklet, or features that have no map.
    """
    if set(data.modalities.tolist()) != set(Modality):
        raise ValueError("A map and a gap need tracklets of both modalities.")
    units, total = _units(data), len(data.pids)
    gap = modality_gap(units, data.modalities)
    rows = np.arange(total)
    if total > most:
        rows = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    points, pids, modalities = embedding_map(units[rows], seed), data.pids[rows], data.modalities[rows]
    about = f"of {len(rows)} test tracklets" + (f" out of {total}" if total > len(rows) else "")
    marked = f"Map {about}, infrared and visible ones marked differently. The modality gap is {gap:.2f}."
    coloured = f"The same map {about}, a few identities in colour and the others pale."

    def draw_modalities(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for modality in Modality:
            ours = points[modalities == modality]
            label = f"{modality.name.lower()} ({len(ours)})"
            _scatter(axes, points, ours, modality, color=theme.series[modality], alpha=0.75, linewidths=0, label=label)
        note = "distance of the modalities' mean features\nover the mean distance of a feature to its modality's mean"
        _finish(figure, axes, f"modality gap {gap:.2f}: {note}")

    def draw_identities(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        # A few, evenly chosen in their order.
        known = np.unique(pids)
        shown = known[np.linspace(0, len(known) - 1, min(_SHOWN_IDENTITIES, len(known))).round().astype(int)]
        for modality in Modality:
            others = points[(modalities == modality) & ~np.isin(pids, shown)]
            _scatter(axes, points, others, modality, 0.6, color=theme.faint, alpha=0.25, linewidths=0)
            for pid, colour in zip(shown, theme.series, strict=False):
                its = points[(modalities == modality) & (pids == pid)]
                inside = colour if modality is Modality.VISIBLE else "none"
                _scatter(axes, points, its, modality, 1.6, edgecolors=colour, facecolors=inside)
        for pid, colour in zip(shown, theme.series, strict=False):
            # For the legend only.
            axes.scatter([], [], s=30, marker="s", color=colour, label=f"person {pid}")
        _finish(figure, axes, "circles: infrared; filled triangles: visible;\npale: other people")

    return [
        Panel("t-SNE by modality", marked, draw_modalities, height=4.4),
        Panel("t-SNE by identity", coloured, draw_identities, height=4.4),
    ]


def _scatter(axes: Axes, every: Any, points: Any, modality: Modality, scale: float = 1, **style: Any) -> None:
    # The more there are, the smaller; rasterised, since thousands would make a large SVG.
    size = scale * float(np.clip(6000 / len(every), 6, 36))
    axes.scatter(points[:, 0], points[:, 1], s=size, marker=_MARKERS[modality], rasterized=True, **style)


def _finish(figure: FigureBase, axes: Axes, note: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(note, fontsize=9)
    legend_below(figure, axes)


def _units(data: TrackletFeatures) -> NDArray[np.float32]:
    units: NDArray[np.float32] = F.normalize(as_float32(data.features)).cpu().numpy()
    return units


def pair_counts(data: TrackletFeatures) -> NDArray[np.int64]:
    """Counts every pair of test tracklets once, by its similarity, the cosine, from -1 to 1.

    Pairs of one person by one camera are left out where the features' protocol hides them from a ranking.

    Returns:
        (2, 2, 100): within a modality and across; of different people and of one person; in bins between EDGES.
    """
    units, everyone = _units(data), np.arange(len(data.pids))
    same_camera = RankingProtocol.from_json(data.protocol).same_camera
    counts = np.zeros((2, 2, len(EDGES) - 1), np.int64)
    for ours in np.split(everyone, everyone[:: chunk_rows(len(units))][1:]):
        similarities = np.clip(units[ours] @ units.T, -1, 1)
        labels = data.pids[ours], data.pids, data.camids[ours], data.camids
        seen, different = seen_pairs(*labels, same_camera=same_camera)
        seen &= everyone > ours[:, None]
        across = data.modalities[ours, None] != data.modalities
        for crosses, alike in np.ndindex(2, 2):
            wanted = similarities[seen & (across == crosses) & (different != alike)]
            counts[crosses, alike] += np.histogram(wanted, EDGES)[0]
    return counts


def similarity_panels(counts: NDArray[np.int64]) -> list[Panel]:
    """One panel within a modality and one across, with the same bins and axes, from :func:`pair_counts`."""
    fewest = counts.sum(2).min()
    # Where pairs of one kind are few, most bins would hold none or one.
    joined = 5 if fewest < 500 else 2 if fewest < 5000 else 1
    counts, edges = counts.reshape(2, 2, -1, joined).sum(3), EDGES[::joined]
    filled = np.flatnonzero(counts.sum((0, 1)))
    low, high = (edges[filled[0]], edges[filled[-1] + 1]) if len(filled) else (-1, 1)
    highest = max(float(_shares(kind).max()) for kind in counts.reshape(4, -1)) or 1
    limits = {"xlim": (low - 0.02, high + 0.02), "ylim": (0, 1.05 * highest)}
    titles = ("Similarities within a modality", "Similarities across modalities")
    return [_similarity_panel(title, kinds, edges, limits) for title, kinds in zip(titles, counts, strict=True)]


def _similarity_panel(
    title: str, kinds: NDArray[np.int64], edges: NDArray[np.float64], limits: Mapping[str, tuple[float, float]]
) -> Panel:
    different, same = kinds
    # Of two areas of 1; at 0 a threshold separates all pairs.
    shared = f"overlap by {100 * np.minimum(_shares(different), _shares(same)).sum():.0f} %"
    labels = f"the same person ({same.sum():,} pairs)", f"different people ({different.sum():,} pairs)"

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        axes.stairs(_shares(same), edges, label=labels[0], fill=True, alpha=0.55, color=theme.series[0], linewidth=0)
        axes.stairs(_shares(different), edges, label=labels[1], edgecolor=theme.series[1], linewidth=1.8)
        axes.set(**limits, xlabel=f"similarity (cosine); the two {shared}", ylabel="share of the pairs")
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        axes.grid(axis="y")
        legend_below(figure, axes)

    return Panel(title, f"Histograms of similarities of {' and '.join(labels)}; they {shared}.", draw)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts / max(1, counts.sum())
