"""How a run went: losses, learning rate, prototypes and metrics over its iterations, and the CMC of its evaluations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from xreid_plugin.visualization.panels import Panel, Theme, legend_below
from xreid_plugin.visualization.run_folder import Evaluation, Series

Curve = tuple[str, Series]

_PROTOTYPES = {
    "prototype/own": "clips, own prototype",
    "prototype/cross": "clips, the other modality's",
    "prototype/modality_cosine": "infrared and visible prototypes",
}
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Fewer points than this are drawn with markers, or a single one would not show.
_FEW = 30
_LAST_RANK = 20


def training_panels(history: Mapping[str, Series], evaluations: Sequence[Evaluation]) -> list[Panel]:
    """Losses, learning rate, prototypes and metrics, as far as the run has written any."""
    losses = {name: name.removeprefix("loss_").replace("_", " ") for name in history if name.startswith("loss_")}

    def named(labels: Mapping[str, str]) -> list[Curve]:
        return [(label, history[name]) for name, label in labels.items() if name in history]

    found = {
        "Losses": ("loss", named({"total_loss": "total", **losses})),
        "Learning rate": ("learning rate", named({"lr": "learning rate"})),
        "Prototypes": ("mean cosine", named(_PROTOTYPES)),
        "Evaluations": ("%", _metrics(evaluations)),
    }
    return [_panel(title, unit, curves) for title, (unit, curves) in found.items() if curves]


def _metrics(evaluations: Sequence[Evaluation]) -> list[Curve]:
    """mAP and Rank-1 of every test set and direction over the epochs under the last one's protocol, not re-ranked."""
    trained = [evaluation for evaluation in evaluations if evaluation.epoch is not None]
    # A resumed run may go on under another.
    kinds = {evaluation.dataset: evaluation.kind for evaluation in trained}
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for evaluation in (one for one in trained if one.kind == kinds[one.dataset]):
        for name in (
            f"{direction}/{metric}" for direction in evaluation.results.curves for metric in ("mAP", "Rank-1")
        ):
            epochs, values = curves.setdefault(f"{evaluation.dataset} {name.replace('/', ' ')}".strip(), ([], []))
            epochs.append(evaluation.epoch or 0)
            values.append(evaluation.results.metrics[name])
    return list(curves.items())


def _panel(title: str, unit: str, curves: Sequence[Curve]) -> Panel:
    over = "epoch" if unit == "%" else "iteration"

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (name, series) in enumerate(curves):
            # Of a direction, mAP and Rank-1 share a colour and differ in their dashes.
            colour, dash = divmod(number, 2) if unit == "%" else (number, number // len(theme.series))
            axes.plot(
                *series,
                label=name,
                color=theme.series[colour % len(theme.series)],
                linestyle=DASHES[dash % len(DASHES)],
                marker=MARKERS[number % len(MARKERS)] if len(series[1]) < _FEW else "",
            )
        axes.set(xlabel=over, ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y")
        if title == "Losses":
            _set_logarithmic(axes, [value for _, (_, values) in curves for value in values if value > 0])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if len(curves) > 1:
            legend_below(figure, axes)

    ends = "; ".join(f"{name} {_ends(values)}" for name, (_, values) in curves)
    return Panel(title, f"Curves over the {over}s: {ends}.", draw, height=2.9 + 0.1 * len(curves))


def _set_logarithmic(axes: Axes, values: Sequence[float]) -> None:
    if not values:
        return
    axes.set_yscale("log", nonpositive="mask")
    # A range below two decades may hold no power of ten at all.
    few = max(values) < 100 * min(values)
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _ends(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f"from {finite[0]:.3g} to {finite[-1]:.3g}" if finite else "never finite"


def cmc_panels(ends: Mapping[str, tuple[Evaluation, Evaluation]]) -> list[Panel]:
    """One panel per test set: the CMC of its last evaluation and, dotted, of its first, from those two."""
    return [_cmc_panel(dataset, first, last) for dataset, (first, last) in ends.items() if last.results.curves]


def _cmc_panel(dataset: str, first: Evaluation, last: Evaluation) -> Panel:
    curves, before = last.results.curves, first.results.curves

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (direction, curve) in enumerate(curves.items()):
            colour = theme.series[number]
            draw_cmc(axes, curve, color=colour, marker=MARKERS[number], label=f"{direction}, {last.label}")
            if first is not last and direction in before:
                draw_cmc(axes, before[direction], color=colour, linestyle=":", label=f"{direction}, {first.label}")
        finish_cmc(axes)
        axes.grid(axis="y")
        legend_below(figure, axes)

    at_first = "; ".join(f"{direction} reaches {curve[0]:.1f} % at rank 1" for direction, curve in curves.items())
    title = f"CMC on {dataset}" if dataset else "CMC"
    return Panel(title, f"Cumulative matching curves of {last.label}: {at_first}.", draw)


def draw_cmc(axes: Axes, curve: Sequence[float], spread: Sequence[float] = (), **style: Any) -> None:
    """Draws the first 20 ranks of a CMC in percent, its deviation over seeds as a band; the style has a color."""
    shown = curve[:_LAST_RANK]
    ranks = range(1, len(shown) + 1)
    axes.plot(ranks, shown, **style)
    if any(spread):
        low, high = ([value + sign * by for value, by in zip(shown, spread, strict=False)] for sign in (-1, 1))
        axes.fill_between(ranks, low, high, color=style["color"], alpha=0.15, linewidth=0)


def finish_cmc(axes: Axes) -> None:
    """Gives axes with CMCs their labels, and limits at whole tens around the curves."""
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(0, 10 * math.floor(lowest / 10)), min(100, 10 * math.ceil(highest / 10)) + 1)
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set(xlabel="rank", ylabel="queries with a match (%)")
