"""Measures the plugin beside the host: time and peak memory, each in a process of its own, in one run.

Examples:
    python tools/benchmark.py ranking
    python tools/benchmark.py rerank --sizes 536x2422 --repeats 5
    python tools/benchmark.py rerank --sizes 5000x50000 --json rerank.jsonl

Prints a table, then one JSON object a line. Sizes are queries x gallery. The host is left out where it would need more
than half of the machine's memory. OMP_NUM_THREADS sets the threads of both.
Exit status: 0 done, 1 a measured process failed, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host, which the benchmarks import)
from xreid_plugin.benchmarks import ranking, rerank
from xreid_plugin.benchmarks.report import Case, json_lines, run, table, write_json_lines

BENCHMARKS: dict[str, Callable[..., list[Case]]] = {"ranking": ranking.cases, "rerank": rerank.cases}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--sizes", nargs="+", metavar="SIZE", help="instead of those of the two datasets")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON lines there as well")
    args = parser.parse_args(arguments)
    if args.repeats < 1:
        parser.error("--repeats: at least 1 run is needed")
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.absolute().parent}")
    try:
        cases = BENCHMARKS[args.name](*([args.sizes] if args.sizes else []))
        records = list(run(cases, args.repeats))
        if args.json:
            write_json_lines(args.json, records)
    except (ValueError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(table(records), json_lines(records), sep="\n\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
