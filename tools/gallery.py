"""A gallery of tracklets on disk: builds it, adds to it, and searches it for a person.

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
features come from TEST.SAVE_FEATURES of an evaluation. A gallery records which model made it, and refuses
others. Additions are atomic: readers see the state before or after, a killed writer leaves the state before, and of two
writers the second waits (--wait) or gets an error.
Exit status: 0 done, 2 wrong usage or unusable input, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import add_debug, run_tool, tool_parser
from _options import add_imports, positive

DIRECTIONS = ("I2V", "V2I")
FORMATS = ("npy", "parquet", "duckdb")
INDEX_KINDS = ("exact", "ivf", "hnsw", "auto")
LIST_COLUMNS = ("frames", "boxes", "identity", "camera", "time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and prints its answer; returns the exit status."""
    return run_tool(_parser(), _run, arguments, if_interrupted="a gallery is as it was before")


def _run(args: argparse.Namespace) -> int:
    import _gallery_commands

    print(getattr(_gallery_commands, args.run)(args))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    parsers = parser.add_subparsers(required=True, title="commands, each with a --help of its own", metavar="COMMAND")

    def command(name: str, run: str, text: str) -> argparse.ArgumentParser:
        found = parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        found.add_argument("gallery", type=Path, metavar="GALLERY", help="its folder")
        found.set_defaults(run=run)
        add_debug(found, argparse.SUPPRESS)
        return found

    build = command("build", "build", "makes a gallery of tracklets")
    _add_sources(build, many=True)
    add = build.add_argument_group("the index").add_argument
    add("--index", choices=INDEX_KINDS, default="exact", help="auto chooses by size (default: %(default)s)")
    add("--recall", type=float, default=0.95, metavar="X", help="recall an index must reach (default: %(default)s)")
    _add_calibration(build, required=False)
    _add_wait(build)

    more = command("add", "add", "adds tracklets to a gallery")
    _add_sources(more, many=True)
    _add_wait(more)

    query = command("query", "query", "finds the tracklets most similar to one")
    _add_sources(query, many=False)
    add = query.add_argument_group("the answer").add_argument
    add("--top", type=positive, default=10, metavar="K", help="how many tracklets (default: %(default)s)")
    add("--all", action="store_true", help="also show those below the threshold")
    add("--exact", action="store_true", help="search exactly even if the gallery has an approximate index")
    add("--picture", type=Path, metavar="FILE.png", help="draw the query's frames above those found")

    again = command("calibrate", "calibrate_again", "sets the threshold of a gallery")
    _add_calibration(again, required=True)
    again.add_argument("--direction", choices=DIRECTIONS, help="whose pairs (default: all that the file has)")
    _add_wait(again)

    out = command("export", "export", "writes a gallery for other databases")
    out.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="for the files")
    out.add_argument("--format", nargs="+", choices=FORMATS, default=["npy", "parquet"], help="default: npy parquet")

    command("info", "info", "describes a gallery")
    return parser


def _add_sources(parser: argparse.ArgumentParser, many: bool) -> None:
    one = parser.add_argument_group("the source, one of these").add_mutually_exclusive_group(required=True)
    number = "+" if many else 1
    one.add_argument("--frames", type=Path, nargs=number, metavar="FOLDER", help="of frames, or of such folders")
    one.add_argument("--video", type=Path, metavar="FILE", help="with --boxes")
    one.add_argument("--features", type=Path, metavar="FILE.npz", help="as evaluation saves them")
    add = parser.add_argument_group("more about it").add_argument
    if many:
        columns = ", ".join(LIST_COLUMNS)
        one.add_argument("--list", type=Path, metavar="FILE.csv", help=f"a line per tracklet: {columns}")
        one.add_argument("--dataset", metavar="NAME", help="its test tracklets, such as HITSZVCM")
        add("--root", type=Path, metavar="FOLDER", help="of the dataset (default: DATASETS.ROOT)")
        add("--direction", choices=DIRECTIONS, help="the only direction to search and calibrate (default: both)")
    else:
        add("--row", type=int, metavar="N", help="of --features, from 0")
    add("--boxes", type=Path, metavar="FILE.csv", help="frame,x1,y1,x2,y2: pixels of the video")
    add("--identity", metavar="NAME", help="the person, if known")
    add("--camera", type=int, metavar="N", help="its number in training; unknown numbers get no camera embedding")
    add("--time", metavar="TIME", help="ISO 8601, or seconds since 1970")
    add = parser.add_argument_group("the model").add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="default: the gallery's own")
    add("--settings", nargs="+", default=[], metavar="KEY VALUE", help="such as TEST.FRAMES dense")
    add_imports(add)
    add("--device", default="auto", help="such as cpu or cuda:1 (default: %(default)s)")


def _add_calibration(parser: argparse.ArgumentParser, required: bool) -> None:
    add = parser.add_argument_group("the threshold").add_argument
    add("--calibrate", type=Path, required=required, metavar="FILE.npz", help="validation features")
    add("--false-match-rate", type=float, default=1e-3, metavar="X", help="default: %(default)s")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    text = "how long to wait for another writer; -1: forever (default: %(default)s)"
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help=text)


if __name__ == "__main__":
    sys.exit(main())
