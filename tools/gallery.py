"""A gallery of tracklets on disk: builds it, adds to it, and finds a person in it.

Examples:
    python tools/gallery.py build gallery --checkpoint model_final.pth --frames tracklets/ --camera 3
    python tools/gallery.py build gallery --checkpoint model_final.pth --dataset HITSZVCM --root /data/HITSZ-VCM \\
        --direction I2V --calibrate validation.npz --false-match-rate 1e-3
    python tools/gallery.py build gallery --features run/vcm.npz --direction I2V --index ivf
    python tools/gallery.py add gallery --video street.mp4 --boxes person7.csv --camera 4 --time 2026-03-01T17:45:00
    python tools/gallery.py add gallery --list tracklets.csv
    python tools/gallery.py query gallery --frames tracklets/0007 --picture found.png
    python tools/gallery.py query gallery --features run/vcm.npz --row 12 --top 5 --all
    python tools/gallery.py calibrate gallery --calibrate validation.npz --false-match-rate 1e-4
    python tools/gallery.py export gallery --to exported --format npy parquet duckdb
    python tools/gallery.py info gallery

Scores are cosines, -1 to 1. A threshold that was calibrated on validation people decides what is a match; their
features come from TEST.SAVE_FEATURES of an evaluation. A gallery knows which model made it, and refuses others.
Additions show at once and as a whole: readers see the state before or after, a killed one leaves the state before, and
of two writers the second waits (--wait) or is told. Exit status: 0 done, 2 wrong usage or what cannot be used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host)
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.evaluation.features import DIRECTIONS
from xreid_plugin.gallery import commands, sources
from xreid_plugin.gallery.export import FORMATS
from xreid_plugin.gallery.manifest import INDEX_KINDS
from xreid_plugin.user_errors import add_debug_flag, report_user_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and prints what it answers; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        print(args.run(args))
    except (FrameError, OSError, ValueError, KeyError) as error:
        return report_user_error("gallery", error, args.debug)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        found = parsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        found.add_argument("gallery", type=Path, metavar="GALLERY", help="its folder")
        found.set_defaults(run=run)
        add_debug_flag(found)
        return found

    build = command("build", commands.build, "makes a gallery of tracklets")
    _add_sources(build, many=True)
    build.add_argument("--index", choices=INDEX_KINDS, default="exact", help="default: exact; auto goes by the size")
    build.add_argument("--recall", type=float, default=0.95, metavar="X", help="wanted of an index (default: 0.95)")
    _add_calibration(build, required=False)
    _add_wait(build)

    add = command("add", commands.add, "adds tracklets to a gallery")
    _add_sources(add, many=True)
    _add_wait(add)

    query = command("query", commands.query, "finds the tracklets most like one")
    _add_sources(query, many=False)
    query.add_argument("--top", type=int, default=10, metavar="K", help="how many (default: 10)")
    query.add_argument("--all", action="store_true", help="also those below the threshold")
    query.add_argument("--exact", action="store_true", help="also where the gallery has an approximate index")
    query.add_argument("--picture", type=Path, metavar="FILE.png", help="the query's frames above those found")

    again = command("calibrate", commands.calibrate_again, "sets the threshold of a gallery")
    _add_calibration(again, required=True)
    again.add_argument("--direction", choices=DIRECTIONS, help="whose pairs; default: all that the file has")
    _add_wait(again)

    out = command("export", commands.export_gallery, "writes a gallery for other databases")
    out.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    out.add_argument("--format", nargs="+", choices=FORMATS, default=["npy", "parquet"], help="default: npy parquet")

    command("info", commands.info, "says what a gallery is")
    return parser


def _add_sources(parser: argparse.ArgumentParser, many: bool) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    number = "+" if many else 1
    source.add_argument("--frames", type=Path, nargs=number, metavar="FOLDER", help="of frames, or of such folders")
    source.add_argument("--video", type=Path, metavar="FILE", help="with --boxes")
    source.add_argument("--features", type=Path, metavar="FILE.npz", help="as evaluation saves them")
    if many:
        columns = ", ".join(sources.COLUMNS)
        source.add_argument("--list", type=Path, metavar="FILE.csv", help=f"a line a tracklet: {columns}")
        source.add_argument("--dataset", metavar="NAME", help="its test tracklets, such as HITSZVCM")
        parser.add_argument("--root", type=Path, metavar="FOLDER", help="of the dataset; default: DATASETS.ROOT")
        parser.add_argument("--direction", choices=DIRECTIONS, help="what it searches alone, and calibrates")
    else:
        parser.add_argument("--row", type=int, metavar="N", help="of --features, from 0")
    parser.add_argument("--boxes", type=Path, metavar="FILE.csv", help="frame,x1,y1,x2,y2: pixels of the video")
    parser.add_argument("--identity", metavar="NAME", help="who it is, if that is known")
    parser.add_argument("--camera", type=int, metavar="N", help="its number in training; unknown ones are left out")
    parser.add_argument("--time", metavar="TIME", help="ISO 8601, or seconds since 1970")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="of the model; default: the gallery's own")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY VALUE", help="such as TEST.FRAMES dense")
    parser.add_argument("--device", default="auto", help="default: auto")


def _add_calibration(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument("--calibrate", type=Path, required=required, metavar="FILE.npz", help="validation features")
    parser.add_argument("--false-match-rate", type=float, default=1e-3, metavar="X", help="default: 1e-3")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="for another writer; -1: for ever")


if __name__ == "__main__":
    sys.exit(main())
