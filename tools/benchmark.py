"""Measures the plugin against a reference: time and peak memory, each in a process of its own, in one run.

Examples:
    python tools/benchmark.py ranking rerank
    python tools/benchmark.py rerank --sizes 536x2422 --repeats 5
    python tools/benchmark.py data step refresh inference startup --json speed.jsonl
    python tools/benchmark.py ranking --growth

Benchmarks: {benchmarks}

Reports each case on stderr as soon as it is measured, then prints a table and one JSON object per line. Each benchmark
has its own form of --sizes, and describes it when it cannot read one. With --growth the plugin is measured at 1, 10 and
100 times a number of tracklets, and the exponents are printed as well. A reference that would need more than half of
the machine's memory is left out. OMP_NUM_THREADS sets the threads of both.
Exit status: 0 done, 1 a measured process failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, UsageError, run_tool, tool_parser
from _options import positive

if TYPE_CHECKING:
    from xreid_plugin.benchmarks.report import Case

BENCHMARKS = ("data", "gallery", "inference", "memory", "pack", "ranking", "refresh", "rerank", "startup", "step")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs benchmarks; returns the exit status."""
    return run_tool(_parser(), _measure, arguments, if_interrupted="nothing was measured to the end")


def _measure(args: argparse.Namespace) -> int:
    if args.growth and args.sizes:
        raise UsageError("--growth has sizes of its own: leave --sizes out")
    if args.json and not args.json.absolute().parent.is_dir():
        raise UsageError(f"--json: there is no folder {args.json.absolute().parent}")
    if args.json and args.json.is_dir():
        raise UsageError(f"--json: {args.json} is a folder")
    from tqdm import tqdm

    from xreid_plugin.benchmarks.report import growth, json_lines, line_of, run, table, write_json_lines

    chosen = [case for name in args.names for case in _cases(name, args.sizes, args.growth)]
    records: list[dict[str, Any]] = []
    try:
        # None leaves it to tqdm, which is quiet where there is no terminal.
        with tqdm(total=len(chosen), unit="case", leave=False, disable=None) as bar:
            for record in run(chosen, args.repeats):
                records.append(record)
                # Lines stand above the bar; the table is for stdout.
                tqdm.write(f"{len(records)}/{len(chosen)} {line_of(record)}", file=sys.stderr)
                bar.update()
    except RuntimeError as error:
        raise ToolFailure(str(error)) from error
    if args.json:
        write_json_lines(args.json, records)
    print(table(records))
    if args.growth:
        print("\n" + growth(records))
    if args.json:
        print(f"\nWritten to {args.json}")
    # Last, for programs that read on from the first brace.
    print("\n" + json_lines(records), end="")
    return 0


def _cases(name: str, sizes: Sequence[str] | None, grow: bool) -> list["Case"]:
    """The cases of one benchmark; with ``grow`` without their references.

    Raises:
        ValueError: a size that the benchmark cannot read, or a benchmark that does not grow.
    """
    module = importlib.import_module(f"xreid_plugin.benchmarks.{name}")
    if not grow:
        made: list[Case] = module.cases(*([sizes] if sizes else []))
        return made
    if not hasattr(module, "GROWTH_SIZES"):
        raise ValueError(f"{name} measures nothing that grows with the number of tracklets")
    return [replace(case, reference=None) for case in module.cases(module.GROWTH_SIZES)]


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
