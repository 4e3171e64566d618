"""Packs the frames of a dataset into one file, which DATASETS.PACK then names in place of the loose ones.

Examples:
    python tools/pack_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM --output /ssd/vcm.pack
    python tools/pack_dataset.py --dataset HITSZVCM --root /data --output /ssd/vcm-288x144.pack --frames 288x144
    python tools/pack_dataset.py --dataset HITSZVCM --root /data --output /ssd/vcm.pack --verify
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml DATASETS.PACK /ssd/vcm.pack

Takes all frames of all tracklets of training and test, of the auxiliary set too where there is one: the files as they
are, or, with --frames, their pixels at the size of training. Cut off, the same command goes on where it stopped. The
lists of the dataset are still needed beside a pack; the loose frames are not.
Exit status: 0 done, 1 the pack is damaged (--verify), 2 wrong usage, lists or frames that cannot be read, a full disk,
130 interrupted.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)

from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.pack.store import open_pack
from xreid_plugin.data.pack.verify import verify_pack
from xreid_plugin.data.pack.writer import pack_dataset
from xreid_plugin.user_errors import add_debug_flag, report_user_error

_DATASETS: dict[str, Callable[..., VideoCrossModalityDataset]] = {"HITSZVCM": HITSZVCM, "BUPTCampus": BUPTCampus}


def main(arguments: Sequence[str] | None = None) -> int:
    """Packs, verifies, or both; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if not args.output.absolute().parent.is_dir():
        parser.error(f"--output: there is no folder {args.output.absolute().parent}")
    try:
        dataset = _read_dataset(args.dataset, args.root, args.output)
        new = pack_dataset(dataset, args.output, args.frames, args.workers)
        info = open_pack(args.output).info
        print(f"{args.output}: {info}, {args.output.stat().st_size:,} bytes{'' if new else ', packed before'}.")
        return _verify(args.output) if args.verify else 0
    except (OSError, ValueError, FrameError) as error:
        return report_user_error("pack_dataset", error, args.debug)
    except KeyboardInterrupt:
        print("pack_dataset: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130


def _read_dataset(name: str, root: str, output: Path) -> VideoCrossModalityDataset:
    """All that the dataset's lists name, short tracklets and the auxiliary set with them."""
    options: dict[str, Any] = {"min_length": 1}
    if output.exists():
        pack = open_pack(output)
        if pack.info.dataset == name:
            options["packed"] = pack  # the loose frames may be gone
    dataset = _DATASETS[name](root, **options)
    if name == "BUPTCampus" and (dataset.home / "train_auxiliary.txt").is_file():
        return BUPTCampus(root, auxiliary=True, **options)
    return dataset


def _verify(output: Path) -> int:
    verdict = verify_pack(output)
    for problem in verdict.problems:
        print(f"FAILURE: {output}: {problem}")
    print(
        "The pack is damaged: remove it, and make it again."
        if verdict.problems
        else f"{verdict.frames:,} frames verified; all sums agree."
    )
    return 1 if verdict.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, choices=sorted(_DATASETS))
    parser.add_argument(
        "--root",
        default=os.getenv("FASTREID_DATASETS", "datasets"),
        help="the dataset's folder, or the one that holds it (default: FASTREID_DATASETS, else 'datasets')",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="the pack")
    parser.add_argument(
        "--frames", type=_size, metavar="HEIGHTxWIDTH", help="pack decoded frames of this size (default: files)"
    )
    parser.add_argument("--workers", type=_natural, default=0, help="threads that decode (default: one for each core)")
    parser.add_argument("--verify", action="store_true", help="then read all of the pack and check the sums")
    add_debug_flag(parser)
    return parser


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write height x width in pixels, such as 288x144")
    return int(match[1]), int(match[2])


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


if __name__ == "__main__":
    sys.exit(main())
