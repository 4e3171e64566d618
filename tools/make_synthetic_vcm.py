"""Draws a synthetic set of walkers in the layout of HITSZ-VCM or BUPTCampus.

Examples:
    python tools/make_synthetic_vcm.py --output datasets/synthetic-vcm
    python tools/make_synthetic_vcm.py --output datasets/big --train-identities 500 --test-identities 427 --workers 8
    python tools/make_synthetic_vcm.py --output datasets/synthetic-bupt --layout bupt --cameras 6
    python tools/make_synthetic_vcm.py --preview sheet.png --size 288 144
"""

import argparse
import sys
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

from xreid_plugin.data.synthetic import SyntheticError, SyntheticSettings, write_bupt, write_preview, write_vcm
from xreid_plugin.user_errors import add_debug_flag, report_user_error

_WRITERS = {"vcm": write_vcm, "bupt": write_bupt}


def _parser() -> argparse.ArgumentParser:
    default = SyntheticSettings()
    summary, examples = (__doc__ or "").split("Examples:")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog="examples:" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="folder for the set; must be empty or absent")
    add("--preview", type=Path, metavar="FILE.png", help="a sheet of some identities, with or without --output")
    add("--layout", choices=sorted(_WRITERS), default="vcm", help="whose layout (default: %(default)s)")
    add("--train-identities", type=int, default=default.train_identities, metavar="N", help="default: %(default)s")
    add("--test-identities", type=int, default=default.test_identities, metavar="N", help="default: %(default)s")
    add("--cameras", type=int, default=default.cameras, metavar="N", help="at least 2 (default: %(default)s)")
    add(
        "--tracklets",
        type=int,
        default=default.tracklets,
        metavar="N",
        help="per identity and modality (default: %(default)s)",
    )
    add(
        "--frames",
        type=int,
        nargs=2,
        default=default.frames,
        metavar=("MIN", "MAX"),
        help="of a tracklet, but for a few short ones; at least 12 (default: 16 24)",
    )
    add(
        "--size",
        type=int,
        nargs=2,
        default=default.size,
        metavar=("HEIGHT", "WIDTH"),
        help="in pixels (default: 96 48)",
    )
    add("--seed", type=int, default=default.seed, metavar="N", help="default: %(default)s")
    add("--quality", type=int, default=default.quality, metavar="1..100", help="of the JPEGs (default: %(default)s)")
    add("--workers", type=int, default=1, metavar="N", help="processes; changes no file (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace a synthetic set at --output")
    add_debug_flag(parser)
    return parser


def main() -> None:
    """Runs the tool; a user's error ends it with status 2."""
    parser = _parser()
    args = parser.parse_args()
    if args.output is None and args.preview is None:
        parser.error("name an --output, a --preview or both")
    try:
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
        if args.output is not None:
            _WRITERS[args.layout](settings, args.output, workers=args.workers, overwrite=args.overwrite)
    except (SyntheticError, OSError) as error:
        sys.exit(report_user_error("make_synthetic_vcm", error, args.debug))


if __name__ == "__main__":
    main()
