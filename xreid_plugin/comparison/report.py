"""The report of a comparison: rows over seeds, tables, what is published, plots (report.md, results.csv, two PNG)."""

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tabulate import tabulate

from xreid_plugin.comparison.cost import Cost, cost_of_run
from xreid_plugin.comparison.runs import Run, Usage
from xreid_plugin.evaluation.ranking import METRICS, read_results
from xreid_plugin.files import replace_atomically
from xreid_plugin.visualization.curves import draw_cmc, finish_cmc

RERANKED = "-reranked"
COST_NOTE = (
    "Parameters are the whole model's, with what only training uses. A multiplication with its addition counts as two "
    "FLOPs. Clips a second: embedding without reading. Peak memory: torch's on a GPU, else the training process's own."
)
# Okabe and Ito's palette without its yellow, which is faint on white: which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", ":", "-.")
_DIRECTIONS = {"I2V": "infrared → visible", "V2I": "visible → infrared"}


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
        usage: the mean time and the greatest peak of the runs that are done.
        cost: cost of the model.
    """

    name: str
    done: Sequence[Run]
    missing: Sequence[Run]
    metrics: Mapping[str, Statistic]
    curves: Mapping[str, Sequence[Statistic]]
    protocol: Mapping[str, Any]
    usage: Usage | None = None
    cost: Cost | None = None

    @classmethod
    def of(cls, name: str, runs: Sequence[Run]) -> "Row":
        """Reads what a configuration's runs have written; measures the model's cost on the first that is done."""
        done, missing = ([run for run in runs if run.is_done is wanted] for wanted in (True, False))
        if not done:
            return cls(name, done, missing, {}, {}, {})
        results = [read_results(run.results) for run in done]
        used = [Usage.of(run) for run in done]
        seconds, peak = statistics.fmean(usage.seconds for usage in used), max(usage.peak_bytes for usage in used)
        first = results[0]
        return cls(
            name,
            done,
            missing,
            {key: Statistic.of([each.metrics[key] for each in results]) for key in first.metrics},
            {
                key: [Statistic.of(at) for at in zip(*(each.curves[key] for each in results), strict=True)]
                for key in first.curves
            },
            first.protocol,
            Usage(seconds, peak, used[0].on_gpu),
            cost_of_run(done[0].folder),
        )

    @property
    def directions(self) -> list[str]:
        """The raw rankings among the metrics, such as "I2V"."""
        return [key.removesuffix("/mAP") for key in self.metrics if key.endswith("/mAP") and "-" not in key]


def write_report(runs: Sequence[Run], output: Path, command: str, published: Mapping[str, Any]) -> str:
    """Reads what the runs have written, measures each model once, and writes the report.

    Args:
        runs: the runs of the comparison, those of a configuration one after another.
        output: the comparison's folder.
        command: the command that made it, for the report.
        published: the content of published.yml.

    Returns:
        The report's Markdown.
    """
    rows = [Row.of(name, list(group)) for name, group in groupby(runs, key=lambda run: run.name)]
    done = [row for row in rows if row.done]
    output.mkdir(parents=True, exist_ok=True)
    if done:
        plot_cmc(done, output / "cmc.png")
        plot_map(done, output / "map.png")
    text = markdown(rows, command, published)
    replace_atomically(output / "results.csv", lambda part: part.write_text(csv_text(rows)))
    replace_atomically(output / "report.md", lambda part: part.write_text(text))
    return text


def markdown(rows: Sequence[Row], command: str, published: Mapping[str, Any]) -> str:
    """The report as Markdown; it refers to the pictures beside it."""
    done = [row for row in rows if row.done]
    parts = ["# Comparison", f"Made by `{command}`.", "## Retrieval", retrieval_table(rows)]
    parts.append("In percent, of each run's last epoch: the mean over seeds, ± the deviation of the sample.")
    failed = [f"- {run.name}, seed {run.seed}: {run.last_line} (see {run.log})" for row in rows for run in row.missing]
    if failed:
        parts.append("\n".join(["**Runs without results:**", "", *failed]))
    if differences := protocol_differences(done):
        warning = "**These rows were evaluated under different protocols, and their metrics may not be compared:**"
        parts.append("\n".join([warning, "", *(f"- {line}" for line in differences)]))
    elif done:
        protocol = {key: value for key, value in done[0].protocol.items() if not isinstance(value, dict | list)}
        shared = ", ".join(f"{key} {value}" for key, value in protocol.items())
        parts.append(f"All rows were evaluated under one protocol: {shared}.")
    if beside := published_table(done, published):
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


def published_table(done: Sequence[Row], published: Mapping[str, Any]) -> str:
    """A Markdown table of the rows whose configuration has published metrics for the test set that they were ranked on.

    Empty where there are none: a set counts as a dataset's own if its lists name as many tracklets as a full copy's, so
    synthetic sets and parts of a copy never do.
    """
    body = []
    for row in done:
        dataset = row.protocol.get("dataset")
        full = published["test_sets"].get(dataset)
        sets = row.protocol.get("sets", {})
        if full is None or any(
            sets.get(name, {}).get(modality, {}).get("listed") != count
            for name, counts in full.items()
            for modality, count in counts.items()
        ):
            continue
        config = row.done[0].config_file.resolve().with_suffix("").as_posix()
        for table in published["tables"]:
            for entry in table["rows"] if table["dataset"] == dataset else ():
                if config.endswith(f"/{entry.get('config')}"):
                    label = f"table {table['table']}, {entry['method']}"
                    body += [[way, row.name, label, *_beside(row, way, table, entry)] for way in row.directions]
    headers = ["direction", "model", "published as", "Rank-1", "Rank-5", "Rank-20", "mAP"]
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True) if body else ""


def _beside(row: Row, direction: str, table: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    published = dict(zip(table["metrics"], entry[direction], strict=True))
    cells = []
    for name in ("Rank-1", "Rank-5", "Rank-20", "mAP"):
        measured, there = row.metrics[f"{direction}/{name}"].mean, published.get(name)
        cells.append("-" if there is None else f"{measured:.1f} ({there:.1f}, {measured - there:+.1f})")
    return cells


def retrieval_table(rows: Sequence[Row]) -> str:
    """A Markdown table, a row per direction and configuration: the mean over seeds ± their deviation, in percent."""
    directions = list(dict.fromkeys(direction for row in rows for direction in row.directions)) or ["-"]
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
    body = []
    for row in rows:
        cells = ["-"] * 5
        if row.cost is not None and row.usage is not None:
            cost, usage = row.cost, row.usage
            numbers = cost.parameters / 1e6, cost.flops_per_clip / 1e9
            cells = [*(f"{number:.2f}" for number in numbers), f"{cost.clips_per_second:.1f}"]
            cells += [f"{usage.peak_bytes / 2**30:.2f}", f"{usage.seconds / 60:.1f}"]
        body.append([row.name, *cells])
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=("left", *("right",) * 5))


def csv_text(rows: Sequence[Row]) -> str:
    """One line per configuration, in full precision; what is not known is empty.

    A metric has two columns, such as "I2V/mAP" and "I2V/mAP deviation", in percent.
    """
    names = list(dict.fromkeys(key for row in rows for key in row.metrics))
    costs = ["parameters", "flops_per_clip", "clips_per_second", "peak_bytes", "seconds_per_run"]
    buffer = io.StringIO()
    columns = [column for key in names for column in (key, f"{key} deviation")]
    table = csv.DictWriter(buffer, ["model", "runs_done", "runs_missing", *columns, *costs], lineterminator="\n")
    table.writeheader()
    for row in rows:
        line: dict[str, Any] = {"model": row.name, "runs_done": len(row.done), "runs_missing": len(row.missing)}
        for key, statistic in row.metrics.items():
            line |= {key: statistic.mean, f"{key} deviation": statistic.deviation}
        if row.cost is not None and row.usage is not None:
            line |= {name: getattr(row.cost, name) for name in costs[:3]}
            line |= {"peak_bytes": row.usage.peak_bytes, "seconds_per_run": row.usage.seconds}
        table.writerow(line)
    return buffer.getvalue()


def plot_cmc(done: Sequence[Row], path: Path) -> None:
    """One panel per direction: the CMC of each configuration, its deviation over seeds as a band."""
    figure, panels = _panels(done, height=4.2)
    for direction, panel in panels.items():
        for number, row in enumerate(done):
            points = row.curves.get(direction, ())
            dashes, colour = divmod(number, len(_COLOURS))
            style = {"color": _COLOURS[colour], "marker": _MARKERS[colour], "linestyle": _DASHES[dashes % len(_DASHES)]}
            spread = [point.deviation or 0.0 for point in points]
            draw_cmc(panel, [point.mean for point in points], spread, label=row.name, markersize=4, **style)
        panel.set_xlabel("rank")
        panel.grid(alpha=0.3)
    # The panels share their limits.
    finish_cmc(next(iter(panels.values())))
    _save(figure, panel, path)


def plot_map(done: Sequence[Row], path: Path) -> None:
    """One panel per direction: the mAP of each configuration, and beside it the re-ranked one if there is one."""
    names = {"as ranked": "/mAP", "re-ranked": f"{RERANKED}/mAP"}
    kinds = [(label, end) for label, end in names.items() if any(f"I2V{end}" in row.metrics for row in done)]
    figure, panels = _panels(done, height=1.6 + 0.32 * len(done) * len(kinds))
    thickness, places = 0.8 / len(kinds), np.arange(len(done))
    for direction, panel in panels.items():
        for number, (label, end) in enumerate(kinds):
            found = [row.metrics.get(direction + end, Statistic(0.0, None)) for row in done]
            means, spread = ([getattr(one, name) or 0.0 for one in found] for name in ("mean", "deviation"))
            at = places + (number - (len(kinds) - 1) / 2) * thickness
            style: dict[str, Any] = {
                "label": label,
                "color": _COLOURS[number],
                "xerr": spread if any(spread) else None,
                "capsize": 2,
            }
            bars = panel.barh(at, means, 0.9 * thickness, **style)
            panel.bar_label(bars, [f"{mean:.1f}" if mean else "" for mean in means], padding=3, fontsize=9)
        panel.set_yticks(places, [row.name for row in done])
        panel.set(xlabel="mAP (%)", axisbelow=True)
        panel.grid(axis="x", alpha=0.3)
    # The first row on top, and space for the numbers at the ends of the bars; both panels share them.
    panel.invert_yaxis()
    panel.set_xlim(0, panel.get_xlim()[1] * 1.25)
    _save(figure, panel, path)


def _panels(done: Sequence[Row], height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure of 800 pixels at 100 dots an inch, with a panel for each direction; all share their axes."""
    directions = dict.fromkeys(direction for row in done for direction in row.directions)
    figure = Figure(figsize=(8.0, height), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(directions), sharex=True, sharey=True, squeeze=False)[0]
    panels = dict(zip(directions, axes, strict=True))
    for direction, panel in panels.items():
        panel.set_title(_DIRECTIONS.get(direction, direction))
    return figure, panels


def _save(figure: Figure, panel: Axes, path: Path) -> None:
    handles, labels = panel.get_legend_handles_labels()
    if labels != ["as ranked"]:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    replace_atomically(path, lambda part: figure.savefig(part, format="png"))
