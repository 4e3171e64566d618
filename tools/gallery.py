"""A gallery of tracklets on disk: builds it, adds to it, and searches it for a person.

Examples:
    python tools/gallery.py build gate --checkpoint model_final.pth --video gate.mp4 --tracks gate.txt --camera "gate 4"
    python tools/gallery.py add gate --video hall.mp4 --tracks hall.csv --modality infrared --time 2026-03-01T17:45:00
    python tools/gallery.py add gate --frames tracklets/ --model-camera 3
    python tools/gallery.py add gate --list tracklets.csv
    python tools/gallery.py build test --checkpoint model_final.pth --dataset HITSZVCM --root /data/HITSZ-VCM \\
        --direction I2V --index ivf --calibrate validation.npz --false-match-rate 1e-3
    python tools/gallery.py calibrate gate --calibrate validation.npz --false-match-rate 1e-4
    python tools/gallery.py query gate --frames tracklets/0007 --top 5 --all
    python tools/gallery.py query gate --video night.mp4 --tracks night.txt --only-modality visible --html answer.html
    python tools/gallery.py query gate --from hall --assign --csv pairs.csv
    python tools/gallery.py list gate --only-camera "gate 4"
    python tools/gallery.py remove gate --before 2026-01-01
    python tools/gallery.py export gate --to exported --format npy parquet duckdb
    python tools/gallery.py info gate

--tracks takes MOTChallenge's format (frame,id,x,y,width,height without a header; frames and pixels count from 1) and
CSV with a header that names frame,x1,y1,x2,y2 and id (frames and pixels count from 0).
A TIME is ISO 8601, such as 2026-03-01T17:45:00+01:00, or seconds since 1970; without an offset such as +01:00, or Z for
UTC, it is in the time zone of this machine, in which all times are shown, with their offset.
Similarity is the cosine of two embeddings: 1 is the same. A threshold that was calibrated on validation people decides
what is a match; their features come from TEST.SAVE_FEATURES of an evaluation. A gallery records which model made it,
and refuses others. Additions and removals are atomic: readers see the state before or after, a killed writer leaves the
state before, and of two writers the second waits (--wait) or gets an error.
Exit status: 0 done, 2 wrong usage or unusable input, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import add_debug, run_tool, tool_parser
from _options import LIST_COLUMNS, add_imports, positive

DIRECTIONS = ("I2V", "V2I")
FORMATS = ("npy", "parquet", "duckdb")
INDEX_KINDS = ("exact", "ivf", "hnsw", "auto")
MODALITIES = ("infrared", "visible")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and prints its answer; returns the exit status."""
    return run_tool(_parser(), _run, arguments, if_interrupted="a gallery is as it was before")


def _run(args: argparse.Namespace) -> int:
    for name in ("calibrate", "checkpoint", "features", "list", "root", "tracks", "video"):
        place = getattr(args, name, None)
        if place is not None and not place.expanduser().exists():
            raise FileNotFoundError(f"--{name}: there is no {place}")
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

    query = command("query", "query", "finds the tracklets most similar to one, or to each of many")
    _add_sources(query, many=False)
    _add_filters(query, "the tracklets to search")
    add = query.add_argument_group("the answer").add_argument
    add("--top", type=positive, default=10, metavar="K", help="how many tracklets a query (default: %(default)s)")
    add("--all", action="store_true", help="also show those below the threshold")
    text = (
        "one tracklet a query, and no tracklet twice, so that the sum of the similarities above the threshold is the "
    )
    text += "greatest possible, and among equals the sum of all of them"
    add("--assign", action="store_true", help=text)
    add("--threshold", type=float, metavar="X", help="the similarity of a match, -1 to 1 (default: the gallery's own)")
    add("--exact", action="store_true", help="search exactly even if the gallery has an approximate index")
    add("--html", type=Path, metavar="FILE", help="write a page with the frames of queries and of what was found")
    add("--json", type=Path, metavar="FILE", help="write all that is known of them")
    add("--csv", type=Path, metavar="FILE", help="likewise, a line per tracklet found")

    _add_filters(command("list", "list_all", "lists tracklets with their numbers"), "which")

    less = command("remove", "remove", "removes tracklets")
    less.add_argument("numbers", nargs="*", type=positive, metavar="NUMBER", help="as list shows them")
    _add_filters(less, "or all of these")
    _add_wait(less)

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
    one.add_argument("--video", type=Path, metavar="FILE", help="with --tracks")
    one.add_argument("--frames", type=Path, nargs="+", metavar="FOLDER", help="of frames, or of such folders")
    one.add_argument("--list", type=Path, metavar="FILE.csv", help=f"a line per tracklet: {', '.join(LIST_COLUMNS)}")
    one.add_argument("--features", type=Path, metavar="FILE.npz", help="as evaluation saves them")
    add = parser.add_argument_group("more about it").add_argument
    add("--tracks", type=Path, metavar="FILE", help="boxes in the video: MOTChallenge, or CSV with a header")
    add("--track", nargs="+", default=[], metavar="ID", help="these tracks alone")
    if many:
        one.add_argument("--dataset", metavar="NAME", help="its test tracklets, such as HITSZVCM")
        add("--root", type=Path, metavar="FOLDER", help="of the dataset (default: DATASETS.ROOT)")
        add("--direction", choices=DIRECTIONS, help="the only direction to search and calibrate (default: both)")
    else:
        one.add_argument("--from", type=Path, dest="other", metavar="GALLERY", help="all tracklets of another gallery")
        add("--row", type=int, metavar="N", help="of --features, from 0 (default: all)")
    add("--identity", metavar="NAME", help="the person, if known")
    add("--camera", metavar="PLACE", help='any text, such as "gate 4"; it has no effect on embeddings')
    add("--modality", choices=MODALITIES, help="the kind of camera")
    add("--time", metavar="TIME", help="when it began; of a video, its first frame")
    add = parser.add_argument_group("the model").add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="default: the gallery's own")
    add("--settings", nargs="+", default=[], metavar="KEY VALUE", help="such as TEST.FRAMES dense")
    add("--model-camera", type=int, metavar="N", help="a camera of the model's training set, if it is that very camera")
    add_imports(add)
    add("--device", default="auto", help="such as cpu or cuda:1 (default: %(default)s)")


def _add_filters(parser: argparse.ArgumentParser, title: str) -> None:
    add = parser.add_argument_group(title).add_argument
    add("--only-identity", metavar="NAME", help="of this person")
    add("--only-camera", metavar="PLACE", help="of this camera")
    add("--only-modality", choices=MODALITIES, help="of this modality")
    add("--after", metavar="TIME", help="that began at this time or later")
    add("--before", metavar="TIME", help="that began at this time or earlier")


def _add_calibration(parser: argparse.ArgumentParser, required: bool) -> None:
    add = parser.add_argument_group("the threshold").add_argument
    add("--calibrate", type=Path, required=required, metavar="FILE.npz", help="validation features")
    add("--false-match-rate", type=float, default=1e-3, metavar="X", help="default: %(default)s")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    text = "how long to wait for another writer; -1: forever (default: %(default)s)"
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help=text)


if __name__ == "__main__":
    sys.exit(main())
