"""Rows as pictures (PNG), legible at a width of 800 pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xreid_plugin.comparison.results import RERANKED, Row, Statistic
from xreid_plugin.files import replace_atomically
from xreid_plugin.visualization.curves import draw_cmc, finish_cmc

# Okabe and Ito's palette without its yellow, which is faint on white: which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", ":", "-.")
_DIRECTIONS = {"I2V": "infrared → visible", "V2I": "visible → infrared"}
_WIDTH = 8.0  # inches: 100 dots an inch make the 800 pixels that it is read at
_DPI = 200


def plot_cmc(rows: Sequence[Row], path: Path) -> None:
    """One panel per direction: the CMC of each configuration, its deviation over seeds as a band.

    Args:
        rows: the rows, at least one of which has curves.
        path: the PNG file.
    """
    directions = _directions(rows)
    figure = _figure(height=4.2)
    panels = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for panel, direction in zip(panels, directions, strict=True):
        for number, row in enumerate(rows):
            if direction in row.curves:
                means = [point.mean for point in row.curves[direction]]
                spread = [point.deviation or 0.0 for point in row.curves[direction]]
                draw_cmc(panel, means, spread, label=row.name, **_line_style(number))
        panel.set_title(_DIRECTIONS.get(direction, direction))
        panel.grid(alpha=0.3)
    for panel in panels:
        finish_cmc(panel)
        panel.label_outer()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    _save(figure, path)


def plot_map(rows: Sequence[Row], path: Path) -> None:
    """One panel per direction: the mAP of each configuration, and beside it the re-ranked one if there is one.

    Args:
        rows: the rows, at least one of which has figures.
        path: the PNG file.
    """
    rows = [row for row in rows if row.done]
    directions = _directions(rows)
    kinds = [(kind, suffix) for kind, suffix in (("as ranked", ""), ("re-ranked", RERANKED)) if _any(rows, suffix)]
    figure = _figure(height=1.6 + 0.32 * len(rows) * len(kinds))
    panels = figure.subplots(1, len(directions), sharex=True, sharey=True, squeeze=False)[0]
    thickness = 0.8 / len(kinds)
    places = np.arange(len(rows))
    for panel, direction in zip(panels, directions, strict=True):
        for number, ((kind, suffix), colour) in enumerate(zip(kinds, _COLOURS, strict=False)):
            statistics = [row.figures.get(f"{direction}{suffix}/mAP") for row in rows]
            offset = (number - (len(kinds) - 1) / 2) * thickness
            _draw_bars(panel, places + offset, statistics, thickness, label=kind, color=colour)
        panel.set_title(_DIRECTIONS.get(direction, direction))
        panel.set_xlabel("mAP (%)")
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set_yticks(places, [row.name for row in rows])
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    # The first row on top, and space for the numbers at the ends of the bars.
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, panels[0].get_xlim()[1] * 1.25)
    if len(kinds) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    _save(figure, path)


def _line_style(number: int) -> dict[str, Any]:
    """Colour and marker of a row; rows that repeat a colour differ in their dashes."""
    dashes, colour = divmod(number, len(_COLOURS))
    return {
        "color": _COLOURS[colour],
        "marker": _MARKERS[colour],
        "linestyle": _DASHES[dashes % len(_DASHES)],
        "linewidth": 1.6,
        "markersize": 4,
    }


def _draw_bars(panel: Axes, places: Any, statistics: list[Statistic | None], thickness: float, **style: Any) -> None:
    means = [statistic.mean if statistic else 0.0 for statistic in statistics]
    spread = [(statistic.deviation or 0.0) if statistic else 0.0 for statistic in statistics]
    bars = panel.barh(places, means, 0.9 * thickness, xerr=spread if any(spread) else None, capsize=2, **style)
    labels = [f"{statistic.mean:.1f}" if statistic else "" for statistic in statistics]
    panel.bar_label(bars, labels, padding=3, fontsize=9)


def _any(rows: Sequence[Row], suffix: str) -> bool:
    return any(f"{direction}{suffix}/mAP" in row.figures for row in rows for direction in row.directions)


def _directions(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(direction for row in rows for direction in row.directions))


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    replace_atomically(path, lambda part: figure.savefig(part, format="png"))
