"""Cumulative matching curves of both directions, at the end of a run and, pale, at its beginning."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import FigureBase

from xreid_plugin.visualization.evaluations import Evaluation
from xreid_plugin.visualization.panels import Panel, drawable, legend_below
from xreid_plugin.visualization.theme import Theme

LAST_RANK = 20
_MARKERS = ("o", "s", "^", "D")


def cmc_panels(evaluations: Sequence[Evaluation]) -> list[Panel]:
    """One panel per test set: the set's last evaluation, and its first where that is another one.

    Args:
        evaluations: as ordered by :func:`~xreid_plugin.visualization.evaluations.read_evaluations`.
    """
    by_set: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.curves:
            by_set.setdefault(evaluation.dataset, []).append(evaluation)
    return [_panel(name, found) for name, found in by_set.items()]


def _panel(dataset: str, evaluations: Sequence[Evaluation]) -> Panel:
    last, first = evaluations[-1], evaluations[0]

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (direction, curve) in enumerate(last.curves.items()):
            style: dict[str, Any] = {
                "color": theme.series[number % len(theme.series)],
                "marker": _MARKERS[number % len(_MARKERS)],
            }
            shown = curve[:LAST_RANK]
            axes.plot(range(1, len(shown) + 1), shown, **style, markersize=4, label=_label(direction, last))
            before = first.curves.get(direction, ())[:LAST_RANK]
            if first is not last and before:
                axes.plot(
                    range(1, len(before) + 1),
                    before,
                    color=style["color"],
                    linestyle=":",
                    label=_label(direction, first),
                )
        lowest, highest = axes.get_ylim()
        axes.set_ylim(max(0, 10 * math.floor(lowest / 10)), min(100, 10 * math.ceil(highest / 10)) + 1)
        axes.set_xticks([1, 5, 10, 15, 20])
        axes.set_xlabel("rank")
        axes.set_ylabel("queries with a match (%)")
        axes.grid(axis="y")
        legend_below(figure, axes)

    firsts = "; ".join(f"{direction} reaches {curve[0]:.1f} % at rank 1" for direction, curve in last.curves.items())
    title = f"CMC on {dataset}" if dataset else "CMC"
    return Panel(title, f"Cumulative matching curves of {last.label}: {firsts}.", draw)


def _label(direction: str, evaluation: Evaluation) -> str:
    return drawable(f"{direction}, {evaluation.label}")
