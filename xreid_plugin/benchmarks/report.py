"""The plugin beside the host, case by case: who is measured, and the table and JSON lines that come of it."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from xreid_plugin.benchmarks.measure import Measurement, measure


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: what is done.
        size: how much of it, for the reader.
        module: dotted name of the module that holds both functions; see :mod:`xreid_plugin.benchmarks.measure`.
        host: function that prepares the host's work.
        plugin: function that prepares the plugin's.
        arguments: of both.
        host_bytes: memory that the host is known to need; where the machine has less, the host is not run.
    """

    name: str
    size: str
    module: str
    host: str
    plugin: str
    arguments: Mapping[str, object]
    host_bytes: int = 0


def run(cases: Iterable[Case], repeats: int) -> Iterator[dict[str, Any]]:
    """Measures each case, host first.

    Yields:
        ``case``, ``size``, ``host`` and ``plugin`` (seconds, peak_mib, added_mib, runs; host may be None), and their
        ratios: ``speedup``, host seconds / plugin seconds; ``peak_ratio``, plugin / host peak memory of the whole
        process; ``added_ratio``, plugin / host memory that the work added. A ratio is None where it has no meaning.
    """
    for case in cases:
        fits = case.host_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        host = measure(case.module, case.host, case.arguments, repeats) if fits else None
        yield record(case, host, measure(case.module, case.plugin, case.arguments, repeats))


def record(case: Case, host: Measurement | None, plugin: Measurement) -> dict[str, Any]:
    """One line of the report; see :func:`run`."""
    return {
        "case": case.name,
        "size": case.size,
        "host": host and host._asdict(),
        "plugin": plugin._asdict(),
        "speedup": host and _ratio(host.seconds, plugin.seconds),
        "peak_ratio": host and _ratio(plugin.peak_mib, host.peak_mib),
        "added_ratio": host and _ratio(plugin.added_mib, host.added_mib),
    }


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """The records for the eye: seconds, ratios, and MiB of the whole process and (added by the work)."""
    rows = [
        [
            line["case"],
            line["size"],
            line["host"] and f"{line['host']['seconds']:.3f}",
            f"{line['plugin']['seconds']:.3f}",
            line["speedup"] and f"{line['speedup']:.1f}",
            line["host"] and _memory(line["host"]),
            _memory(line["plugin"]),
            line["peak_ratio"] and f"{line['peak_ratio']:.2f}",
            line["added_ratio"] and f"{line['added_ratio']:.2f}",
        ]
        for line in records
    ]
    headers = ["case", "size", "host s", "plugin s", "times faster", "host MiB", "plugin MiB", "peak ×", "added ×"]
    return tabulate(rows, headers, missingval="-", disable_numparse=True)


def json_lines(records: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(dict(line)) + "\n" for line in records)


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes :func:`json_lines` beside ``path``, then renames, so that no reader sees half a file.

    Raises:
        OSError: the folder cannot be written to.
    """
    beside = path.with_name(path.name + ".part")
    beside.write_text(json_lines(records))
    beside.replace(path)


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None


def _memory(measurement: Mapping[str, float]) -> str:
    return f"{measurement['peak_mib']:.0f} (+{measurement['added_mib']:.0f})"
