"""Puts a run on one page: results, curves, map, rank lists, attention, configuration and environment.

Examples:
    python tools/report.py RUN
    python tools/report.py RUN --output report.html --queries 8 --people 3
    python tools/report.py RUN --features RUN/features.npz DATASETS.ROOT /data/HITSZ-VCM
    python tools/report.py RUN MODEL.WEIGHTS RUN/model_0004.pth

RUN is the folder of a run. The page is a single HTML file, pictures included: it needs no network and no script. Rank
lists and maps are drawn from the features that TEST.SAVE_FEATURES saved, the rank lists and the attention need the
dataset as well; what is not there is left out, and the page says so. Exit status: 0 done, 2 wrong usage or a folder
that is no run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host)
from xreid_plugin.user_errors import add_debug_flag, report_user_error
from xreid_plugin.visualization.page import write_page
from xreid_plugin.visualization.page_content import PageOptions, page_content
from xreid_plugin.visualization.run_folder import RunFolder

USUAL = PageOptions()


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page; returns the exit status."""
    args = _parser().parse_intermixed_args(arguments)
    output = args.output or args.run / "report.html"
    options = PageOptions(args.features, args.queries, args.depth, args.people, args.seed)
    try:
        if args.features is not None and not args.features.is_file():
            raise FileNotFoundError(f"--features: there is no {args.features}")
        # Now, and not when all is drawn.
        output.parent.mkdir(parents=True, exist_ok=True)
        content = page_content(RunFolder.read(args.run, args.opts), options)
        write_page(content, output)
    except (OSError, ValueError, KeyError) as error:
        return report_user_error("report", error, args.debug)
    for reason in content.missing:
        print(f"left out: {reason}")
    print(output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a run")
    add("opts", nargs="*", metavar="KEY VALUE", help="keys to override, such as DATASETS.ROOT /data")
    add("--output", type=Path, metavar="FILE", help="default: RUN/report.html")
    add("--features", type=Path, metavar="FILE.npz", help="default: what the run saved, or RUN/features.npz")
    add("--queries", type=_count, default=USUAL.queries, metavar="N", help=f"default: {USUAL.queries}")
    add("--depth", type=_count, default=USUAL.depth, metavar="N", help=f"of a rank list; default: {USUAL.depth}")
    add("--people", type=_count, default=USUAL.people, metavar="N", help=f"of the attention; default: {USUAL.people}")
    add("--seed", type=int, default=USUAL.seed, metavar="N", help="of all that is drawn by lot; default: 0")
    add_debug_flag(parser)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
