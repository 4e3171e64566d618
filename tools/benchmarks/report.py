"""The plugin beside a reference, case by case: what is measured, and the tables that result."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tabulate import tabulate

from benchmarks.measure import Measurement, Work, measure


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: what is done.
        size: how much of it, for the reader.
        prepare: prepares the plugin's work; with ``plainly=True`` the reference's, the same as others do it.
        arguments: its arguments.
        against: what the reference is, in a word; empty where the plugin is measured alone.
        items: how many of ``unit``, a plural noun, the work handles, for rates; 0 where a rate means nothing.
        scale: number of tracklets, for the growth of time and memory; 0 where nothing grows.
        its_environment: variables that the reference's process has besides; None removes one.
    """

    name: str
    size: str
    prepare: Callable[..., Work]
    arguments: Sequence[Any]
    against: str = ""
    items: int = 0
    unit: str = ""
    scale: int = 0
    its_environment: Mapping[str, str | None] = field(default_factory=dict)


def beside_floor(case: Case, what: str, floor: Callable[[], Work]) -> Case:
    """The same work beside the least that it cannot do without; the ratio is then the floor's share of the time."""
    given = partial(case.prepare, *case.arguments), floor
    return replace(case, prepare=_work_or_floor, arguments=given, against=f"floor: {what}")


def _work_or_floor(work: Callable[[], Work], floor: Callable[[], Work], plainly: bool = False) -> Work:
    return floor() if plainly else work()


def read_size(text: str, form: str, parts: int = 2) -> list[int]:
    """ "4584x5099" -> [4584, 5099]: so many numbers of at least 1. ValueError: it is not of the form."""
    words = text.split("x")
    if len(words) != parts or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f'"{text}" is no size: write {form}')
    return [int(word) for word in words]


def run(cases: Iterable[Case], repeats: int) -> Iterator[dict[str, Any]]:
    """Measures each case when it is asked for; RuntimeError: a measured process failed."""
    for case in cases:
        work = partial(case.prepare, *case.arguments)
        plainly = partial(work, plainly=True)
        reference = measure(plainly, repeats, case.its_environment) if case.against else None
        yield record(case, reference, measure(work, repeats))


def record(case: Case, reference: Measurement | None, plugin: Measurement) -> dict[str, Any]:
    """One line of the report: the case's facts, both measurements, and the ratio of their seconds."""
    facts = {name: getattr(case, name) for name in ("size", "against", "items", "unit", "scale")}
    sides = {"reference": reference and reference._asdict(), "plugin": plugin._asdict()}
    return {"case": case.name, **facts, **sides, "speedup": reference and reference.seconds / plugin.seconds}


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """The records as a table: seconds, rates, MiB of the process and (added by the work); no column without values."""
    rows = [_cells(line, line["plugin"], line["reference"]) for line in records]
    columns = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    return tabulate([[row[name] or "-" for name in columns] for row in rows], columns, disable_numparse=True)


def _cells(line: Mapping[str, Any], ours: Mapping[str, Any], its: Mapping[str, Any] | None) -> dict[str, str | None]:
    rate = [f"{line['items'] / ours['seconds']:,.0f} {line['unit']}/s"] if line["items"] else []
    found = [f"{name} {value:,.4g}" for name, value in ours["found"].items()]
    return {
        "case": line["case"],
        "size": line["size"],
        "against": line["against"],
        "its s": its and f"{its['seconds']:.3f}",
        "our s": f"{ours['seconds']:.3f}",
        "faster ×": its and _ratio(its["seconds"] / ours["seconds"]),
        # Other work beside it changes this least.
        "of CPU ×": its and ours["cpu_seconds"] and _ratio(its["cpu_seconds"] / ours["cpu_seconds"]),
        "ours": ", ".join(rate + found),
        "its MiB": its and _memory(its),
        "our MiB": _memory(ours),
    }


def _ratio(value: float) -> str:
    return f"{value:.{1 if value >= 2 else 2}f}"


def growth(records: Sequence[Mapping[str, Any]]) -> str:
    """How time grows with the number of tracklets: 1 is linear, 2 quadratic; empty where no case has two sizes."""
    rows = []
    for name in dict.fromkeys(line["case"] for line in records):
        lines = [line for line in records if line["case"] == name]
        scales = [line["scale"] for line in lines]
        if scales[0] != scales[-1]:
            times = lines[-1]["plugin"]["seconds"] / lines[0]["plugin"]["seconds"]
            exponent = math.log(times) / math.log(scales[-1] / scales[0])
            rows.append([name, ", ".join(map(str, scales)), f"{exponent:.2f}"])
    return tabulate(rows, ["case", "tracklets", "exponent of time"], disable_numparse=True) if rows else ""


def _memory(measurement: Mapping[str, Any]) -> str:
    if measurement["added_mib"] < 1:
        return ""
    on_device = f", {measurement['device_mib']:.0f} on the GPU" if measurement["device_mib"] else ""
    return f"{measurement['peak_mib']:.0f} (+{measurement['added_mib']:.0f}){on_device}"
