"""The plugin beside a reference, case by case: what is measured, and the tables and JSON lines that result."""

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from xreid_plugin.benchmarks.measure import Measurement, measure
from xreid_plugin.files import replace_atomically


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: what is done.
        size: how much of it, for the reader.
        module: dotted name of the module that holds both functions; see :mod:`xreid_plugin.benchmarks.measure`.
        reference: function that prepares the reference's work; None where the plugin is measured alone.
        plugin: function that prepares the plugin's.
        arguments: arguments of both functions.
        against: what the reference is, in a word.
        reference_bytes: memory that the reference is known to need; where the machine has less, it is not run.
        items: how many of ``unit`` the work handles, for rates; 0 where a rate means nothing.
        unit: plural noun.
        scale: number of tracklets, for the growth of time and memory; 0 where nothing grows.
    """

    name: str
    size: str
    module: str
    reference: str | None
    plugin: str
    arguments: Mapping[str, object]
    against: str = "host"
    reference_bytes: int = 0
    items: int = 0
    unit: str = ""
    scale: int = 0


def parse_tracklets(text: str) -> int:
    """Reads a size that is a number of tracklets.

    Raises:
        ValueError: it is not a number of tracklets.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f'"{text}" is no size: write a number of tracklets, such as 1000')
    return int(text)


def run(cases: Iterable[Case], repeats: int) -> Iterator[dict[str, Any]]:
    """Measures each case, the reference first, one when the next is asked for.

    Yields:
        What :func:`record` makes of it.

    Raises:
        RuntimeError: a measured process failed.
    """
    for case in cases:
        fits = case.reference_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        reference = None
        if case.reference is not None and fits:
            reference = measure(case.module, case.reference, case.arguments, repeats)
        yield record(case, reference, measure(case.module, case.plugin, case.arguments, repeats))


def record(case: Case, reference: Measurement | None, plugin: Measurement) -> dict[str, Any]:
    """One line of the report.

    Returns:
        ``case``, ``size``, ``against``, ``unit``, ``items``, ``scale``; ``reference`` (may be None) and ``plugin``, the
        fields of their Measurement; ``speedup``, reference seconds / plugin seconds; ``peak_ratio``, plugin / reference
        peak memory of the whole process; ``added_ratio``, plugin / reference memory that the work added. A ratio is
        None where it has no meaning.
    """
    return {
        "case": case.name,
        "size": case.size,
        "against": case.against if case.reference else None,
        "unit": case.unit,
        "items": case.items,
        "scale": case.scale,
        "reference": reference and reference._asdict(),
        "plugin": plugin._asdict(),
        "speedup": reference and _ratio(reference.seconds, plugin.seconds),
        "peak_ratio": reference and _ratio(plugin.peak_mib, reference.peak_mib),
        "added_ratio": reference and _ratio(plugin.added_mib, reference.added_mib),
    }


def line_of(record: Mapping[str, Any]) -> str:
    """A record in one line, to be printed as soon as it exists: seconds, and how many times faster."""
    seconds = f"{record['plugin']['seconds']:.3f} s"
    if record["reference"]:
        seconds += f", {record['against']} {record['reference']['seconds']:.3f} s"
    ratio = f": {record['speedup']:.1f} times faster" if record["speedup"] else ""
    return f"{record['case']}, {record['size']}: {seconds}{ratio}"


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """The records as a table for people: seconds, rates, ratios, and MiB of the whole process and (added by the work).

    A column that is empty for every record is left out.
    """
    rows = [
        {
            "case": line["case"],
            "size": line["size"],
            "against": line["against"],
            "its s": line["reference"] and f"{line['reference']['seconds']:.3f}",
            "our s": f"{line['plugin']['seconds']:.3f}",
            "faster ×": line["speedup"] and f"{line['speedup']:.1f}",
            "our rate": _rate(line),
            "its MiB": line["reference"] and _memory(line["reference"]),
            "our MiB": _memory(line["plugin"]),
            "added ×": line["added_ratio"] and f"{line['added_ratio']:.2f}",
            "our TFLOP/s": _arithmetic(line["plugin"]),
        }
        for line in records
    ]
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []
    shown = [[row[name] for name in columns] for row in rows]
    return tabulate(shown, columns, missingval="-", disable_numparse=True)


def growth(records: Iterable[Mapping[str, Any]]) -> str:
    """How the plugin's time and memory grow with the number of tracklets; empty where no case has two sizes.

    The exponent is the slope of a line through the logarithms: 1 is linear, 2 quadratic.
    """
    by_case: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in records:
        if line["scale"]:
            by_case[line["case"]].append(line)
    rows = [
        [
            name,
            ", ".join(str(line["scale"]) for line in lines),
            _exponent(lines, "seconds"),
            _exponent(lines, "added_mib"),
        ]
        for name, lines in by_case.items()
        if len({line["scale"] for line in lines}) > 1
    ]
    headers = ["case", "tracklets", "exponent of time", "exponent of added memory"]
    return tabulate(rows, headers, missingval="-", disable_numparse=True) if rows else ""


def json_lines(records: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object per line."""
    return "".join(json.dumps(dict(line)) + "\n" for line in records)


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes :func:`json_lines`, whole or not at all.

    Raises:
        OSError: the folder cannot be written to.
    """
    replace_atomically(path, lambda part: part.write_text(json_lines(records)))


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None


def _rate(line: Mapping[str, Any]) -> str | None:
    if not line["items"]:
        return None
    recall = f", recall {line['plugin']['recall']:.3f}" if line["plugin"]["recall"] else ""
    return f"{line['items'] / line['plugin']['seconds']:,.0f} {line['unit']}/s{recall}"


def _memory(measurement: Mapping[str, Any]) -> str:
    added = "" if measurement["added_mib"] is None else f" (+{measurement['added_mib']:.0f})"
    on_device = f", {measurement['device_mib']:.0f} on the GPU" if measurement["device_mib"] else ""
    return f"{measurement['peak_mib']:.0f}{added}{on_device}"


def _arithmetic(measurement: Mapping[str, float]) -> str | None:
    if not measurement["flops"]:
        return None
    rate = measurement["flops"] / measurement["seconds"]
    of_peak = f" ({rate / measurement['peak_flops']:.0%} of the peak)" if measurement["peak_flops"] else ""
    return f"{rate / 1e12:.2f}{of_peak}"


def _exponent(lines: list[Mapping[str, Any]], field: str) -> str | None:
    points = [(math.log(line["scale"]), line["plugin"][field]) for line in lines if line["plugin"][field] > 0]
    if len({scale for scale, _ in points}) < 2:
        return None
    scales, values = zip(*points, strict=True)
    return f"{np.polyfit(scales, np.log(values), 1)[0]:.2f}"
