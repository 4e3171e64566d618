"""Measures the plugin against a reference: time and peak memory, each in a process of its own, in one run.

Examples:
    python tools/benchmark.py ranking rerank
    python tools/benchmark.py rerank --sizes 536x2422 --repeats 5
    python tools/benchmark.py data step refresh inference startup --json speed.jsonl
    python tools/benchmark.py ranking --growth

Benchmarks: {benchmarks}

Reports each case on stderr as soon as it is measured, then prints a table and one JSON object per line. Each benchmark
has its own form of --sizes, and describes it when it cannot read one. With --growth the plugin is measured at 1, 10 and
100 times a number of tracklets, and the exponents are printed as well. OMP_NUM_THREADS sets the threads of both.
Exit status: 0 done, 1 a measured process failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, UsageError, run_tool, tool_parser
from _options import positive

if TYPE_CHECKING:
    from benchmarks.report import Case

# The module of each, below benchmarks/.
BENCHMARKS = {
    "collectives": "processes",
    "data": "reading",
    "gallery": "gallery",
    "inference": "model",
    "pack": "reading",
    "ranking": "retrieval",
    "refresh": "model",
    "rerank": "retrieval",
    "startup": "startup",
    "step": "model",
    "waiting": "processes",
}
GROWTH = {
    "gallery": ("1000", "10000", "100000"),
    "ranking": ("46x51", "458x510", "4584x5099"),
    "rerank": ("46x51", "458x510", "4584x5099"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs benchmarks; returns the exit status."""
    return run_tool(_parser(), _measure, arguments, if_interrupted="nothing was measured to the end")


def _measure(args: argparse.Namespace) -> int:
    if args.growth and args.sizes:
        raise UsageError("--growth has sizes of its own: leave --sizes out")
    if args.json and not args.json.absolute().parent.is_dir():
        raise UsageError(f"--json: there is no folder {args.json.absolute().parent}")
    from benchmarks.report import growth, run, table

    chosen = [case for name in args.names for case in _cases(name, args.sizes, args.growth)]
    records: list[dict[str, Any]] = []
    try:
        for record in run(chosen, args.repeats):
            records.append(record)
            seconds, its = record["plugin"]["seconds"], record["speedup"]
            compared = f", {its:.2f} times as fast as {record['against']}" if its else ""
            done = f"{len(records)}/{len(chosen)} {record['case']}, {record['size']}"
            print(f"{done}: {seconds:.3f} s{compared}", file=sys.stderr)
    except RuntimeError as error:
        raise ToolFailure(str(error)) from error
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if args.json:
        args.json.write_text(lines)
    print(table(records))
    if args.growth:
        print("\n" + growth(records))
    # Last, for programs that read on from the first brace.
    print("\n" + lines, end="")
    return 0


def _cases(name: str, sizes: Sequence[str] | None, grow: bool) -> list["Case"]:
    """The cases of one benchmark; with ``grow`` without their references. ValueError: a size that it cannot read."""
    cases = getattr(importlib.import_module(f"benchmarks.{BENCHMARKS[name]}"), f"{name}_cases")
    if not grow:
        made: list[Case] = cases(sizes)
        return made
    if name not in GROWTH:
        raise ValueError(f"{name} measures nothing that grows with the number of tracklets")
    # One of those that differ in their reference alone.
    alone = {(case.name, case.size): replace(case, against="") for case in cases(GROWTH[name])}
    return list(alone.values())


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, (__doc__ or "").format(benchmarks=", ".join(BENCHMARKS)))
    add = parser.add_argument_group("what is measured").add_argument
    add("names", nargs="+", choices=BENCHMARKS, metavar="NAME", help="which benchmarks, of those listed below")
    add("--sizes", nargs="+", metavar="SIZE", help="sizes to measure instead of the benchmark's own")
    add("--growth", action="store_true", help="measure only the plugin, at 1, 10 and 100 times a size")
    add("--repeats", type=positive, default=3, metavar="N", help="runs of which the fastest counts (default: 3)")
    add = parser.add_argument_group("output").add_argument
    add("--json", type=Path, metavar="FILE", help="write the JSON lines there as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
