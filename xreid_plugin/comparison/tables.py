"""Rows as Markdown for people and as comma-separated values for programs."""

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from xreid_plugin.comparison.results import RERANKED, Row, Statistic
from xreid_plugin.evaluation.ranking import METRICS

_RERANKED_MAP = "mAP, re-ranked"


def retrieval_table(rows: Sequence[Row]) -> str:
    """A Markdown table, a row per direction and configuration: the mean over seeds ± their deviation, in percent."""
    directions = list(dict.fromkeys(direction for row in rows for direction in row.directions)) or ["-"]
    reranked = any(key.endswith(f"{RERANKED}/mAP") for row in rows for key in row.figures)
    headers = ["direction", "model", "seeds", *METRICS, *([_RERANKED_MAP] if reranked else [])]
    body = [
        [direction, row.name, _seeds(row), *_cells(row, direction, reranked)]
        for direction in directions
        for row in rows
    ]
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True)


def cost_table(rows: Sequence[Row]) -> str:
    """A Markdown table of what each model costs, and what its training used."""
    headers = ["model", "parameters (M)", "GFLOPs a clip", "clips/s", "peak memory (GiB)", "minutes a run"]
    body = []
    for row in rows:
        cost = ["-"] * 3
        used = ["-"] * 2
        if row.cost is not None:
            cost = [
                f"{row.cost.parameters / 1e6:.2f}",
                f"{row.cost.flops_per_clip / 1e9:.2f}",
                f"{row.cost.clips_per_second:.1f}",
            ]
        if row.usage is not None:
            used = [f"{row.usage.peak_bytes / 2**30:.2f}", f"{row.usage.seconds / 60:.1f}"]
        body.append([row.name, *cost, *used])
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=("left", *("right",) * 5))


def csv_text(rows: Sequence[Row]) -> str:
    """One line per configuration, in full precision; what is not known is empty.

    A figure has two columns, such as "I2V/mAP" and "I2V/mAP deviation", in percent.
    """
    figures = list(dict.fromkeys(key for row in rows for key in row.figures))
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    costs = ["parameters", "flops_per_clip", "clips_per_second", "peak_bytes", "seconds_per_run"]
    columns = [column for key in figures for column in (key, f"{key} deviation")]
    table.writerow(["model", "runs_done", "runs_missing", *columns, *costs])
    for row in rows:
        numbers = [part for key in figures for part in _parts(row.figures.get(key))]
        cost = [row.cost.parameters, row.cost.flops_per_clip, row.cost.clips_per_second] if row.cost else [""] * 3
        used = [row.usage.peak_bytes, row.usage.seconds] if row.usage else [""] * 2
        table.writerow([row.name, len(row.done), len(row.missing), *numbers, *cost, *used])
    return buffer.getvalue()


def _seeds(row: Row) -> str:
    if not row.done:
        return "failed"
    return str(len(row.done)) if not row.missing else f"{len(row.done)} of {len(row.done) + len(row.missing)}"


def _cells(row: Row, direction: str, reranked: bool) -> list[str]:
    keys = [f"{direction}/{name}" for name in METRICS]
    if reranked:
        keys.append(f"{direction}{RERANKED}/mAP")
    return [str(row.figures.get(key, "-")) for key in keys]


def _parts(statistic: Statistic | None) -> tuple[float | str, float | str]:
    if statistic is None:
        return "", ""
    return statistic.mean, "" if statistic.deviation is None else statistic.deviation
