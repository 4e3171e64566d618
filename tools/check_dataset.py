"""Checks a copy of a dataset before a day of training.

Examples:
    python tools/check_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM
    python tools/check_dataset.py --dataset HITSZVCM --root /data --deep
    python tools/check_dataset.py --dataset BUPTCampus --auxiliary --no-counts

Prints the counts beside those of a full copy, then each finding with a few examples.
Exit status: 0 clean, 1 failures, 2 wrong usage or lists that cannot be read.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)

from xreid_plugin.data.check import check_dataset
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.user_errors import add_debug_flag, report_user_error

_DATASETS: dict[str, type[VideoCrossModalityDataset]] = {"HITSZVCM": HITSZVCM, "BUPTCampus": BUPTCampus}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    options: dict[str, Any] = {"min_length": args.min_length}
    if args.auxiliary:
        if args.dataset != "BUPTCampus":
            parser.error("--auxiliary: only BUPTCampus has an auxiliary set")
        options["auxiliary"] = True
    try:
        dataset = _DATASETS[args.dataset](args.root, **options)
        report = check_dataset(dataset, deep=args.deep, workers=args.workers, compare_counts=args.counts)
    except (OSError, ValueError) as error:
        return report_user_error("check_dataset", error, args.debug)
    print(report)
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, choices=sorted(_DATASETS))
    parser.add_argument(
        "--root",
        default=os.getenv("FASTREID_DATASETS", "datasets"),
        help="the dataset's folder, or the one that holds it (default: FASTREID_DATASETS, else 'datasets')",
    )
    parser.add_argument("--deep", action="store_true", help="also decode every frame")
    parser.add_argument("--workers", type=_natural, default=0, help="threads that decode (default: one for each core)")
    parser.add_argument("--no-counts", dest="counts", action="store_false", help="a partial copy is no failure")
    parser.add_argument("--min-length", type=_natural, default=0, help="shortest tracklet (default: the dataset's)")
    parser.add_argument("--auxiliary", action="store_true", help="with the auxiliary training set of BUPTCampus")
    add_debug_flag(parser)
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


if __name__ == "__main__":
    sys.exit(main())
