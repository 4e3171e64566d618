"""The map of both modalities as pictures: by modality, with the gap between them, and by identity."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.visualization.embedding import EmbeddingMap
from xreid_plugin.visualization.panels import Panel, legend_below
from xreid_plugin.visualization.theme import Theme

_SHOWN_IDENTITIES = 7
_MARKERS = {Modality.INFRARED: "o", Modality.VISIBLE: "^"}


def map_panels(found: EmbeddingMap) -> list[Panel]:
    """The map by modality, and the same by identity."""
    number = f"{found.gap:.2f}"
    about = f"of {len(found.points)} test tracklets" + (
        f" out of {found.total}" if found.total > len(found.pids) else ""
    )
    return [
        Panel(
            "t-SNE by modality",
            f"Map {about}, infrared and visible ones marked differently. The modality gap is {number}.",
            lambda figure, theme: _draw_modalities(figure, theme, found),
            height=4.4,
        ),
        Panel(
            "t-SNE by identity",
            f"The same map {about}, a few identities in colour and the others pale.",
            lambda figure, theme: _draw_identities(figure, theme, found),
            height=4.4,
        ),
    ]


def gap_note(gap: float) -> str:
    """The number, and what it is, in a line or two."""
    return (
        f"modality gap {gap:.2f}: distance of the modalities' mean features\n"
        "over the mean distance of a feature to its modality's mean"
    )


def _draw_modalities(figure: FigureBase, theme: Theme, found: EmbeddingMap) -> None:
    axes = figure.subplots()
    for modality in Modality:
        ours = found.points[found.modalities == modality]
        axes.scatter(
            ours[:, 0],
            ours[:, 1],
            s=_size(found),
            marker=_MARKERS[modality],
            color=theme.series[modality],
            alpha=0.75,
            linewidths=0,
            label=f"{modality.name.lower()} ({len(ours)})",
            rasterized=True,
        )
    _finish(figure, axes)
    axes.set_xlabel(gap_note(found.gap), fontsize=9)


def _draw_identities(figure: FigureBase, theme: Theme, found: EmbeddingMap) -> None:
    axes = figure.subplots()
    shown = identities_to_show(found.pids)
    for modality in Modality:
        others = found.points[(found.modalities == modality) & ~np.isin(found.pids, shown)]
        axes.scatter(
            others[:, 0],
            others[:, 1],
            s=0.6 * _size(found),
            marker=_MARKERS[modality],
            color=theme.faint,
            alpha=0.25,
            linewidths=0,
            rasterized=True,
        )
    for pid, colour in zip(shown, theme.series, strict=False):
        for modality in Modality:
            ours = found.points[(found.modalities == modality) & (found.pids == pid)]
            inside = colour if modality is Modality.VISIBLE else "none"
            axes.scatter(
                ours[:, 0],
                ours[:, 1],
                s=1.6 * _size(found),
                marker=_MARKERS[modality],
                edgecolors=colour,
                facecolors=inside,
                rasterized=True,
            )
        # For the legend only.
        axes.scatter([], [], s=30, marker="s", color=colour, label=f"person {pid}")
    _finish(figure, axes)
    axes.set_xlabel("circles: infrared; filled triangles: visible;\npale: other people", fontsize=9)


def identities_to_show(pids: NDArray[np.int64]) -> Sequence[int]:
    """A few identities, evenly chosen in their order."""
    known = np.unique(pids)
    count = min(_SHOWN_IDENTITIES, len(known))
    return [int(pid) for pid in known[np.linspace(0, len(known) - 1, count).round().astype(int)]]


def _size(found: EmbeddingMap) -> float:
    """Area of a marker: smaller, the more there are."""
    return float(np.clip(6000 / len(found.points), 6, 36))


def _finish(figure: FigureBase, axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    legend_below(figure, axes)
