"""Draws a synthetic set of walkers in the layout of HITSZ-VCM or BUPTCampus, or two videos of walkers with tracks.

Examples:
    python tools/make_synthetic_vcm.py --output datasets/synthetic-vcm
    python tools/make_synthetic_vcm.py --output datasets/big --train-identities 500 --test-identities 427 --workers 8
    python tools/make_synthetic_vcm.py --output datasets/synthetic-bupt --layout bupt --cameras 6
    python tools/make_synthetic_vcm.py --output datasets/videos --layout videos
    python tools/make_synthetic_vcm.py --preview sheet.png --size 288 144

Equal options give the same files, byte for byte, for any --workers. The set appears only when it is complete.
Exit status: 0 done, 2 wrong usage or a set that cannot be drawn or written, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import UsageError, run_tool, tool_parser

# What make demo leaves.
DEMO = Path("logs/xreid/synthetic/model_final.pth")
# By layout, what to do with a set in a folder.
NEXT = {
    "videos": f"python tools/gallery.py build gate --checkpoint {DEMO}"
    " --video {0}/visible.avi --tracks {0}/visible.txt",
    "bupt": "python tools/check_dataset.py --dataset BUPTCampus --no-counts --root {}",
    "vcm": "python tools/train_net.py --config-file projects/XReID/configs/synthetic.yml DATASETS.ROOT {}",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws a set, a sheet of some of it, or both; returns the exit status."""
    return run_tool(_parser(), _draw, arguments, if_interrupted="nothing was written")


def _draw(args: argparse.Namespace) -> int:
    if args.output is None and args.preview is None:
        raise UsageError("name an --output, a --preview or both")
    from projects.SyntheticPeople import SyntheticSettings, write_bupt, write_preview, write_vcm, write_videos

    settings = SyntheticSettings(
        train_identities=args.train_identities,
        test_identities=args.test_identities,
        cameras=args.cameras,
        tracklets=args.tracklets,
        frames=tuple(args.frames),
        size=tuple(args.size),
        seed=args.seed,
        quality=args.quality,
    )
    if args.preview is not None:
        write_preview(settings, args.preview)
        print(f"Written to {args.preview}")
    if args.output is not None:
        write = {"bupt": write_bupt, "vcm": write_vcm, "videos": write_videos}[args.layout]
        size = write(settings, args.output, workers=args.workers, overwrite=args.overwrite)
        print(f"Written to {args.output}: {size}")
        if args.layout != "videos" or DEMO.is_file():
            print(f"Next, for example:\n    {NEXT[args.layout].format(args.output)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("output, one of these or both").add_argument
    add("--output", type=Path, metavar="DIR", help="folder for the set; must be empty or absent")
    add("--preview", type=Path, metavar="FILE.png", help="a sheet of some identities")
    add("--overwrite", action="store_true", help="replace a synthetic set at --output")
    add = parser.add_argument_group("the set").add_argument
    add("--layout", choices=sorted(NEXT), default="vcm", help="whose layout, or videos (default: %(default)s)")
    add("--train-identities", type=int, default=80, metavar="N", help="default: %(default)s")
    add("--test-identities", type=int, default=40, metavar="N", help="default: %(default)s")
    add("--cameras", type=int, default=4, metavar="N", help="at least 2 (default: %(default)s)")
    add("--tracklets", type=int, default=4, metavar="N", help="per identity and modality (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    add = parser.add_argument_group("its frames").add_argument
    lengths = "per tracklet, except a few short ones; at least 12 (default: 16 24)"
    add("--frames", type=int, nargs=2, default=(16, 24), metavar=("MIN", "MAX"), help=lengths)
    add("--size", type=int, nargs=2, default=(96, 48), metavar=("HEIGHT", "WIDTH"), help="in pixels (default: 96 48)")
    add("--quality", type=int, default=92, metavar="1..100", help="of the JPEGs (default: %(default)s)")
    add = parser.add_argument_group("work").add_argument
    add("--workers", type=int, default=1, metavar="N", help="processes; no effect on the files (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
