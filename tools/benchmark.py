"""Measures the plugin beside a reference: time and peak memory, each in a process of its own, in one run.

Examples:
    python tools/benchmark.py ranking rerank
    python tools/benchmark.py rerank --sizes 536x2422 --repeats 5
    python tools/benchmark.py data step refresh inference startup --json speed.jsonl
    python tools/benchmark.py ranking --growth

Benchmarks: {benchmarks}

Prints a table, then one JSON object a line. What a size is, each benchmark's --sizes says when it cannot read one. With
--growth the plugin is measured at 1, 10 and 100 times a number of tracklets, and the exponents are printed as well. A
reference that would need more than half of the machine's memory is left out. OMP_NUM_THREADS sets the threads of both.
Exit status: 0 done, 1 a measured process failed, 2 wrong usage.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host, which the benchmarks import)
from xreid_plugin.benchmarks.report import Case, growth, json_lines, run, table, write_json_lines
from xreid_plugin.user_errors import add_debug_flag, report_user_error

BENCHMARKS = ("data", "gallery", "inference", "memory", "pack", "ranking", "refresh", "rerank", "startup", "step")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs benchmarks; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").format(benchmarks=", ".join(BENCHMARKS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=BENCHMARKS, metavar="NAME", help="which benchmarks")
    parser.add_argument("--sizes", nargs="+", metavar="SIZE", help="instead of the benchmark's own")
    parser.add_argument("--growth", action="store_true", help="the plugin alone, at 1, 10 and 100 times a size")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON lines there as well")
    add_debug_flag(parser)
    args = parser.parse_args(arguments)
    if args.repeats < 1:
        parser.error("--repeats: at least 1 run is needed")
    if args.growth and args.sizes:
        parser.error("--growth has sizes of its own: leave --sizes out")
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.absolute().parent}")
    if args.json and args.json.is_dir():
        parser.error(f"--json: {args.json} is a folder")
    try:
        chosen = [case for name in args.names for case in cases(name, args.sizes, args.growth)]
        records = list(run(chosen, args.repeats))
        if args.json:
            write_json_lines(args.json, records)
    except (ValueError, OSError) as error:
        return report_user_error("benchmark", error, args.debug)
    except RuntimeError as error:
        report_user_error("benchmark", error, args.debug)
        return 1
    print(table(records))
    if args.growth:
        print("\n" + growth(records))
    print("\n" + json_lines(records), end="")
    return 0


def cases(name: str, sizes: Sequence[str] | None, grow: bool) -> list[Case]:
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


if __name__ == "__main__":
    sys.exit(main())
