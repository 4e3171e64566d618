"""Packs the frames of a dataset into one file, which DATASETS.PACK then names in place of the loose ones.

Examples:
    python tools/pack_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM --output /ssd/vcm.pack
    python tools/pack_dataset.py --dataset HITSZVCM --root /data --output /ssd/vcm-288x144.pack --frames 288x144
    python tools/pack_dataset.py --dataset HITSZVCM --root /data --output /ssd/vcm.pack --verify
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml DATASETS.PACK /ssd/vcm.pack

Packs all frames of all tracklets of training and test, and of the auxiliary set if there is one: the unchanged files,
or, with --frames, their pixels at the training size. After an interruption, the same command continues where it
stopped. A pack still needs the lists of the dataset, but not the loose frames.
Exit status: 0 done, 1 the pack is damaged or outdated (--verify), 2 wrong usage, lists or frames that cannot be read, a
full disk, 130 interrupted.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import UsageError, run_tool, tool_parser
from _options import add_dataset, add_imports, add_workers, dataset_class

if TYPE_CHECKING:
    from xreid_plugin.data.datasets.base import VideoCrossModalityDataset


def main(arguments: Sequence[str] | None = None) -> int:
    """Packs, verifies, or both; returns the exit status."""
    return run_tool(_parser(), _pack, arguments, if_interrupted="the same command goes on where it stopped")


def _pack(args: argparse.Namespace) -> int:
    if not args.output.absolute().parent.is_dir():
        raise UsageError(f"--output: there is no folder {args.output.absolute().parent}")
    kind = dataset_class(args)
    from xreid_plugin.data.pack import Pack, pack_tracklets

    dataset = _read_dataset(kind, args)
    tracklets = [*dataset.train, *dataset.test]
    new = pack_tracklets(tracklets, dataset.home, args.dataset, args.output, size=args.frames, workers=args.workers)
    info = Pack(args.output).info
    print(f"{args.output}: {info}, {args.output.stat().st_size:,} bytes{'' if new else ', packed before'}.")
    if args.verify and not _verified(args.output, dataset.home):
        return 1
    print(f"To train from it, add to the training's command: DATASETS.PACK {args.output}")
    return 0


def _read_dataset(
    kind: "Callable[..., VideoCrossModalityDataset]", args: argparse.Namespace
) -> "VideoCrossModalityDataset":
    """All that the dataset's lists name, short tracklets and the auxiliary set with them."""
    from xreid_plugin.data.pack import Pack

    options: dict[str, Any] = {"min_length": 1}
    if args.output.exists():
        pack = Pack(args.output)
        if pack.info.dataset == args.dataset:
            options["packed"] = pack  # the loose frames may be gone
    dataset = kind(args.root, **options)
    if args.dataset == "BUPTCampus" and (dataset.home / "train_auxiliary.txt").is_file():
        return kind(args.root, auxiliary=True, **options)
    return dataset


def _verified(output: Path, home: Path) -> bool:
    from xreid_plugin.data.pack import Pack, verify_pack

    problems = verify_pack(Pack(output), home)
    for problem in problems[:5]:
        print(f"FAILURE: {output}: {problem}")
    faults = f"The pack is damaged or outdated ({len(problems):,} faults): remove it, and make it again."
    print(faults if problems else "All frames are there and as they were packed, and all checksums agree.")
    return not problems


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("the dataset").add_argument
    add_dataset(add)
    add_imports(add)
    add = parser.add_argument_group("the pack").add_argument
    add("--output", required=True, type=Path, metavar="FILE", help="the pack")
    add("--frames", type=_size, metavar="HEIGHTxWIDTH", help="pack decoded frames of this size (default: files)")
    add("--verify", action="store_true", help="then read the whole pack: are checksums right, and files unchanged?")
    add_workers(add)
    return parser


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write height x width in pixels, such as 288x144")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    sys.exit(main())
