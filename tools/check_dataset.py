"""Checks a copy of a dataset before a day of training.

Examples:
    python tools/check_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM
    python tools/check_dataset.py --dataset HITSZVCM --root /data --deep --all faults.txt
    python tools/check_dataset.py --dataset BUPTCampus --auxiliary --no-counts

Prints the counts beside those of a full copy (or, with --no-counts, only its own), then each finding with a few
examples.
Exit status: 0 clean, 1 failures, 2 wrong usage or lists that cannot be read, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import UsageError, run_tool, tool_parser
from _options import add_dataset, add_imports, add_workers, dataset_class, natural


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; returns the exit status."""
    return run_tool(_parser(), _check, arguments, if_interrupted="a check changes nothing")


def _check(args: argparse.Namespace) -> int:
    options: dict[str, Any] = {"min_length": args.min_length}
    if args.auxiliary:
        if args.dataset != "BUPTCampus":
            raise UsageError("--auxiliary: only BUPTCampus has an auxiliary set")
        options["auxiliary"] = True
    kind = dataset_class(args)
    # Not at the head, here and in all tools: --help and wrong usage need no import of seconds.
    from xreid_plugin.data.check import check_dataset

    dataset = kind(args.root, **options)
    report = check_dataset(dataset, deep=args.deep, workers=args.workers, compare_counts=args.counts)
    print(report)
    if args.all is not None:
        lines = (f"{finding.what}: {case}\n" for finding in report.findings for case in finding.cases)
        args.all.write_text("".join(lines), encoding="utf-8")
        print(f"Every finding: {args.all}")
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("the copy").add_argument
    add_dataset(add)
    add_imports(add)
    add("--auxiliary", action="store_true", help="include the auxiliary training set of BUPTCampus")
    add = parser.add_argument_group("the check").add_argument
    add("--deep", action="store_true", help="also decode every frame, which takes minutes")
    add_workers(add)
    add("--no-counts", dest="counts", action="store_false", help="do not compare counts, so a partial copy passes")
    add("--all", type=Path, metavar="FILE", help="write every case of every finding there, a line each")
    add("--min-length", type=natural, default=0, metavar="N", help="shortest tracklet (default: the dataset's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
