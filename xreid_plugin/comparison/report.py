"""The report of a comparison: rows over seeds, tables, plots (report.md, results.csv, two PNG)."""

import csv
import io
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from tabulate import tabulate

from xreid_plugin.comparison.cost import cost_of_run
from xreid_plugin.comparison.runs import Run, Usage
from xreid_plugin.evaluation.ranking import METRICS
from xreid_plugin.evaluation.results import dataset_title, protocol_line, read_results
from xreid_plugin.files import replace_atomically
from xreid_plugin.visualization.curves import DASHES, MARKERS, draw_cmc, finish_cmc
from xreid_plugin.visualization.panels import Panel, Theme, legend_below, write_sheet

RERANKED = "-reranked"
COST_NOTE = (
    "Parameters are the whole model's, with what only training uses. A multiplication with its addition counts as two "
    "FLOPs. Clips a second: embedding without reading. Peak memory: torch's on a GPU, else the training process's own."
)


@dataclass(frozen=True)
class Statistic:
    """A metric over seeds: its mean, and the deviation of the sample (divided by n - 1), None for one seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Statistic":
        """The statistic of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")


@dataclass(frozen=True)
class Row:
    """A configuration in the report; what depends on results is empty or None where no run is done.

    Attributes:
        name: the configuration's name.
        done: its runs that have results.
        missing: its runs that have none.
        metrics: metrics over the runs that are done, in percent, by names such as "I2V/mAP".
        curves: by direction, the CMC in percent at ranks 1, 2, ...
        protocol: the protocol of the first run that is done.
        costs: by the names of :class:`~xreid_plugin.comparison.cost.Cost` what the model costs; "peak_bytes", the
            greatest of its runs, and "seconds_per_run", their mean.
    """

    name: str
    done: Sequence[Run]
    missing: Sequence[Run]
    metrics: Mapping[str, Statistic]
    curves: Mapping[str, Sequence[Statistic]]
    protocol: Mapping[str, Any]
    costs: Mapping[str, float]

    @classmethod
    def of(cls, name: str, runs: Sequence[Run]) -> "Row":
        """Reads what a configuration's runs have written; measures the model's cost on the first that is done."""
        done, missing = ([run for run in runs if run.is_done is wanted] for wanted in (True, False))
        if not done:
            return cls(name, done, missing, {}, {}, {}, {})
        results, used = [read_results(run.results) for run in done], [Usage.of(run) for run in done]
        metrics = {key: Statistic.of([each.metrics[key] for each in results]) for key in results[0].metrics}
        curves = {
            key: [Statistic.of(at) for at in zip(*(each.curves[key] for each in results), strict=True)]
            for key in results[0].curves
        }
        costs = {
            **cost_of_run(done[0].folder)._asdict(),
            "peak_bytes": max(usage.peak_bytes for usage in used),
            "seconds_per_run": statistics.fmean(usage.seconds for usage in used),
        }
        return cls(name, done, missing, metrics, curves, results[0].protocol, costs)


def write_report(runs: Sequence[Run], output: Path, command: str, beside: Callable[[Sequence[Row]], str]) -> str:
    """Reads what the runs have written, measures each model once, and writes the report.

    Args:
        runs: the runs of the comparison, those of a configuration one after another.
        output: the comparison's folder.
        command: the command that made it, for the report.
        beside: a Markdown table of the rows that are done beside what is published; empty without any.

    Returns:
        The report's Markdown.
    """
    rows = [Row.of(name, list(group)) for name, group in groupby(runs, key=lambda run: run.name)]
    done = [row for row in rows if row.done]
    output.mkdir(parents=True, exist_ok=True)
    if done:
        write_sheet(panels_of(done, "CMC", draw_curves, height=3.6), output / "cmc.png")
        write_sheet(panels_of(done, "mAP", draw_bars, height=1.6 + 0.5 * len(done)), output / "map.png")
    text = markdown(rows, command, beside(done))
    replace_atomically(output / "results.csv", lambda part: part.write_text(csv_text(rows)))
    replace_atomically(output / "report.md", lambda part: part.write_text(text))
    return text


def markdown(rows: Sequence[Row], command: str, beside: str) -> str:
    """The report as Markdown; it refers to the pictures beside it."""
    done = [row for row in rows if row.done]
    parts = ["# Comparison", f"Made by `{command}`.", "## Retrieval", retrieval_table(rows)]
    parts.append("In percent, of each run's last epoch: the mean over seeds, ± the deviation of the sample.")
    failed = [
        f"- {run.name}, seed {run.seed}: {run.last_line}{f' (see {run.log})' if run.log.is_file() else ''}"
        for row in rows
        for run in row.missing
    ]
    if failed:
        parts.append("\n".join(["**Runs without results:**", "", *failed]))
    if differences := protocol_differences(done):
        warning = "**These rows were evaluated under different protocols, and their metrics may not be compared:**"
        parts.append("\n".join([warning, "", *(f"- {line}" for line in differences)]))
    elif done:
        parts.append(f"All rows: {dataset_title(done[0].protocol)}; {protocol_line(done[0].protocol)}.")
    if beside:
        parts += ["## Beside what is published", beside]
        parts.append("Measured, then (published, difference). All: `python tools/compare.py --list-published`.")
    if done:
        parts += ["![CMC curves](cmc.png)", "![Mean average precision](map.png)"]
        parts += ["## Cost", cost_table(rows), COST_NOTE]
    return "\n\n".join(parts) + "\n"


def protocol_differences(done: Sequence[Row]) -> list[str]:
    """A line for each part of the protocol in which rows differ; their metrics may then not be compared."""
    return [
        f"{key}: " + "; ".join(f"{row.name} {json.dumps(row.protocol.get(key))}" for row in done)
        for key in dict.fromkeys(key for row in done for key in row.protocol)
        if len({json.dumps(row.protocol.get(key), sort_keys=True) for row in done}) > 1
    ]


def retrieval_table(rows: Sequence[Row]) -> str:
    """A Markdown table, a row per direction and configuration: the mean over seeds ± their deviation, in percent."""
    directions = directions_of(rows) or ["-"]
    names = {name: f"/{name}" for name in METRICS}
    if any(key.endswith(f"{RERANKED}/mAP") for row in rows for key in row.metrics):
        names["mAP, re-ranked"] = f"{RERANKED}/mAP"
    body = [
        [direction, row.name, _seeds(row), *(str(row.metrics.get(direction + key, "-")) for key in names.values())]
        for direction in directions
        for row in rows
    ]
    return tabulate(body, headers=["direction", "model", "seeds", *names], tablefmt="pipe", disable_numparse=True)


def _seeds(row: Row) -> str:
    count = str(len(row.done)) if row.done else "failed"
    return f"{count} of {len(row.done) + len(row.missing)}" if row.done and row.missing else count


def cost_table(rows: Sequence[Row]) -> str:
    """A Markdown table of what each model costs, and what its training used."""
    headers = ["model", "parameters (M)", "GFLOPs a clip", "clips/s", "peak memory (GiB)", "minutes a run"]
    units = (1e6, 1e9, 1, 2**30, 60)
    body = []
    for row in rows:
        costs = zip(row.costs.values(), units, (2, 2, 1, 2, 1), strict=False)
        cells = [f"{number / unit:.{decimals}f}" for number, unit, decimals in costs]
        body.append([row.name, *(cells or "-" * len(units))])
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=("left", *("right",) * 5))


def csv_text(rows: Sequence[Row]) -> str:
    """One line per configuration, in full precision; what is not known is empty.

    A metric has two columns, such as "I2V/mAP" and "I2V/mAP deviation", in percent.
    """
    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {"model": row.name, "runs_done": len(row.done), "runs_missing": len(row.missing)}
        for key, statistic in row.metrics.items():
            line |= {key: statistic.mean, f"{key} deviation": statistic.deviation}
        lines.append(line | dict(row.costs))
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, dict.fromkeys(key for line in lines for key in line), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return buffer.getvalue()


def panels_of(done: Sequence[Row], title: str, draw: Callable[..., None], height: float) -> list[Panel]:
    """One panel per direction, drawn by ``draw(done, direction, figure, theme)``."""
    return [
        Panel(f"{title}, {direction}", f"{title} of each model.", partial(draw, done, direction), height)
        for direction in directions_of(done)
    ]


def draw_curves(done: Sequence[Row], direction: str, figure: FigureBase, theme: Theme) -> None:
    """The CMC of each configuration, its deviation over seeds as a band."""
    axes = figure.subplots()
    for number, row in enumerate(done):
        points = row.curves.get(direction, ())
        dash, kind = divmod(number, len(theme.series))
        style = {"color": theme.series[kind], "marker": MARKERS[kind], "linestyle": DASHES[dash % len(DASHES)]}
        spread = [point.deviation or 0.0 for point in points]
        draw_cmc(axes, [point.mean for point in points], spread, label=row.name, markersize=4, **style)
    finish_cmc(axes)
    legend_below(figure, axes)


def draw_bars(done: Sequence[Row], direction: str, figure: FigureBase, theme: Theme) -> None:
    """The mAP of each configuration, and beside it the re-ranked one if there is one."""
    ends = {"as ranked": "/mAP", "re-ranked": f"{RERANKED}/mAP"}
    kinds = [(label, end) for label, end in ends.items() if any(direction + end in row.metrics for row in done)]
    axes, thickness, places = figure.subplots(), 0.8 / len(kinds), np.arange(len(done))
    for number, (label, end) in enumerate(kinds):
        found = [row.metrics.get(direction + end, Statistic(0.0, None)) for row in done]
        means, spread = [one.mean for one in found], [one.deviation or 0.0 for one in found]
        at = places + (number - (len(kinds) - 1) / 2) * thickness
        style: dict[str, Any] = {"color": theme.series[number], "xerr": spread if any(spread) else None}
        bars = axes.barh(at, means, 0.9 * thickness, label=label, capsize=2, **style)
        axes.bar_label(bars, [f"{mean:.1f}" if mean else "" for mean in means], padding=3, fontsize=9)
    axes.set_yticks(places, [row.name for row in done])
    axes.set_xlabel("mAP (%)")
    # The first row on top, and space for the numbers at the ends of the bars.
    axes.invert_yaxis()
    axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
    if len(kinds) > 1:
        legend_below(figure, axes)


def directions_of(rows: Sequence[Row]) -> list[str]:
    """The raw rankings among all rows' metrics, such as "I2V", each once."""
    names = dict.fromkeys(key for row in rows for key in row.metrics)
    return [name.removesuffix("/mAP") for name in names if name.endswith("/mAP") and "-" not in name]
