"""How a run went: losses, learning rate, prototypes and evaluations over its iterations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from xreid_plugin.visualization.evaluations import BEFORE_TRAINING, Evaluation
from xreid_plugin.visualization.history import Series
from xreid_plugin.visualization.panels import Panel, drawable, legend_below, legend_height
from xreid_plugin.visualization.theme import Theme

Curve = tuple[str, Series]

_PROTOTYPES = {
    "prototype/own": "clips, own prototype",
    "prototype/cross": "clips, the other modality's",
    "prototype/modality_cosine": "infrared and visible prototypes",
}
_FIGURES = ("mAP", "Rank-1")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Fewer points than this are drawn with markers, or a single one would not show.
_FEW = 30


def training_panels(history: Mapping[str, Series], evaluations: Sequence[Evaluation] = ()) -> list[Panel]:
    """The panels for which the run has written any data.

    Args:
        history: from :func:`~xreid_plugin.visualization.history.read_history`.
        evaluations: the run's evaluations; the one before training, if there is one, begins the curves of figures.
    """
    losses = {name: series for name, series in history.items() if "loss" in name}
    total = {"total": losses.pop("total_loss")} if "total_loss" in losses else {}
    panels = []
    if total or losses:
        parts = {name.removeprefix("loss_").replace("_", " "): series for name, series in losses.items()}
        panels.append(_panel("Losses", "loss", [*total.items(), *parts.items()], logarithmic=True))
    if "lr" in history:
        panels.append(_panel("Learning rate", "learning rate", [("learning rate", history["lr"])]))
    prototypes = [(label, history[name]) for name, label in _PROTOTYPES.items() if name in history]
    if prototypes:
        panels.append(_panel("Prototypes", "mean cosine", prototypes))
    figures = _figures(history, evaluations)
    if figures:
        panels.append(_panel("Evaluations", "%", figures, by_pairs=True))
    return panels


def _figures(history: Mapping[str, Series], evaluations: Sequence[Evaluation]) -> list[Curve]:
    """Raw figures of every direction; with several test sets, prefixed with the set's name."""
    start = {
        f"{evaluation.dataset}/{name}" if evaluation.dataset else name: value
        for evaluation in evaluations
        if evaluation.label == BEFORE_TRAINING
        for name, value in evaluation.figures.items()
    }
    directions = [name.removesuffix("/mAP") for name in history if name.endswith("/mAP")]
    raw = [name for name in directions if not name.endswith(("-reranked", "-temporal"))]
    names = [(direction, f"{direction}/{figure}", figure) for direction in raw for figure in _FIGURES]
    return [
        (f"{direction.replace('/', ' ')} {figure}", _begun(history[name], start.get(name)))
        for direction, name, figure in names
        if name in history
    ]


def _begun(series: Series, value: float | None) -> Series:
    return series if value is None else Series((0, *series.iterations), (value, *series.values))


def _panel(title: str, unit: str, curves: Sequence[Curve], logarithmic: bool = False, by_pairs: bool = False) -> Panel:
    ends = "; ".join(f"{name} {_ends(series)}" for name, series in curves)

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (name, series) in enumerate(curves):
            axes.plot(*series, label=drawable(name), **_style(number, theme, len(series.values), by_pairs))
        axes.set_xlabel("iteration")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if logarithmic:
            _set_logarithmic(axes, [value for _, series in curves for value in series.values if value > 0])
        if len(curves) > 1:
            legend_below(figure, axes)

    return Panel(
        title, f"Curves over the iterations: {ends}.", draw, height=2.7 + legend_height([name for name, _ in curves])
    )


def _style(number: int, theme: Theme, points: int, by_pairs: bool) -> dict[str, Any]:
    """In pairs, two curves share a colour and differ in their dashes."""
    colour, dash = divmod(number, 2) if by_pairs else (number, number // len(theme.series))
    return {
        "color": theme.series[colour % len(theme.series)],
        "linestyle": _DASHES[dash % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)] if points < _FEW else "",
        "markersize": 4,
    }


def _set_logarithmic(axes: Axes, values: Sequence[float]) -> None:
    if not values:
        return
    axes.set_yscale("log", nonpositive="mask")
    # A range below two decades may hold no power of ten at all.
    few = max(values) < 100 * min(values)
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,)))
    # The scale has set a formatter of its own, which writes powers as formulas.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _ends(series: Series) -> str:
    finite = [value for value in series.values if math.isfinite(value)]
    return f"from {finite[0]:.3g} to {finite[-1]:.3g}" if finite else "never finite"
