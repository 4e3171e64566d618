"""Runs to rows: figures of a configuration over its seeds, and whether rows may be compared at all."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from xreid_plugin.comparison.cost import Cost
from xreid_plugin.comparison.plan import Run
from xreid_plugin.comparison.run import Usage, read_usage

RERANKED = "-reranked"


@dataclass(frozen=True)
class Statistic:
    """A figure over seeds.

    Attributes:
        mean: mean over the seeds.
        deviation: deviation of the sample (divided by n - 1); None for one seed.
    """

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Statistic":
        """The statistic of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{self.mean:.2f}{spread}"


@dataclass(frozen=True)
class Row:
    """A configuration in the report.

    Attributes:
        name: the configuration's name.
        done: its runs that have results.
        missing: its runs that have none.
        figures: figures over the runs that are done, in percent, by names such as "I2V/mAP"; empty if none are done.
        curves: by direction, the CMC in percent at ranks 1, 2, ...
        protocol: the protocol of the first run that is done.
        usage: the mean time and the greatest peak of the runs that are done; None if none are done.
        cost: cost of the model; None if no run is done.
    """

    name: str
    done: tuple[Run, ...]
    missing: tuple[Run, ...]
    figures: Mapping[str, Statistic]
    curves: Mapping[str, Sequence[Statistic]]
    protocol: Mapping[str, object]
    usage: Usage | None
    cost: Cost | None

    @property
    def directions(self) -> list[str]:
        """The raw rankings among the figures, such as "I2V"."""
        names = [key.removesuffix("/mAP") for key in self.figures if key.endswith("/mAP")]
        return [name for name in names if not name.endswith((RERANKED, "-temporal"))]


def rows_of(runs: Sequence[Run], costs: Mapping[str, Cost]) -> list[Row]:
    """One row per configuration, in the order of the runs.

    Args:
        runs: the runs of the comparison, those of a configuration one after another.
        costs: the costs, by the name of the configuration.
    """
    return [_row(name, tuple(group), costs.get(name)) for name, group in groupby(runs, key=lambda run: run.name)]


def _row(name: str, runs: tuple[Run, ...], cost: Cost | None) -> Row:
    done = tuple(run for run in runs if run.is_done)
    missing = tuple(run for run in runs if not run.is_done)
    contents = [json.loads(run.results.read_text()) for run in done]
    if not contents:
        return Row(name, done, missing, {}, {}, {}, None, cost)
    usages = [read_usage(run) for run in done]
    return Row(
        name=name,
        done=done,
        missing=missing,
        figures={
            key: Statistic.of([content["figures"][key] for content in contents]) for key in contents[0]["figures"]
        },
        curves={
            direction: [
                Statistic.of(column)
                for column in zip(*(content["curves"][direction] for content in contents), strict=True)
            ]
            for direction in contents[0]["curves"]
        },
        protocol=contents[0]["protocol"],
        usage=Usage(
            statistics.fmean(usage.seconds for usage in usages),
            max(usage.peak_bytes for usage in usages),
            usages[0].on_gpu,
        ),
        cost=cost,
    )


def protocol_differences(rows: Sequence[Row]) -> list[str]:
    """A line for each part of the protocol in which rows differ; their figures may then not be compared."""
    rows = [row for row in rows if row.done]
    keys = dict.fromkeys(key for row in rows for key in row.protocol)
    return [
        f"{key}: " + "; ".join(f"{row.name} {json.dumps(row.protocol.get(key))}" for row in rows)
        for key in keys
        if len({json.dumps(row.protocol.get(key), sort_keys=True) for row in rows}) > 1
    ]
