"""Puts a run on one page: results, curves, map, rank lists, attention, configuration and environment.

Examples:
    python tools/report.py RUN
    python tools/report.py RUN --output report.html --queries 8 --people 3
    python tools/report.py RUN --features RUN/features.npz DATASETS.ROOT /data/HITSZ-VCM
    python tools/report.py RUN --no-features --output quick.html
    python tools/report.py RUN MODEL.WEIGHTS RUN/model_0004.pth

RUN is the folder of a run. The page is a single HTML file, pictures included: it needs no network and no script. Rank
lists and maps are drawn from the features that TEST.SAVE_FEATURES saved; if none are of the checkpoint, it embeds the
test set once, which takes as long as an evaluation, and they are kept in RUN. That, rank lists and attention
need the dataset; what is missing is left out, and the page says so.
Exit status: 0 done, 2 wrong usage or a folder that is not a run, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import run_tool, tool_parser
from _options import add_imports, add_seed, positive


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page; returns the exit status."""
    parser = _parser()
    # Keys may stand among the options.
    return run_tool(parser, _write, arguments, parser.parse_intermixed_args)


def _write(args: argparse.Namespace) -> int:
    if args.features is not None and not args.features.is_file():
        raise FileNotFoundError(f"--features: there is no {args.features}")
    from _report_page import page_content, page_text
    from tqdm import tqdm

    import xreid_plugin  # noqa: F401  (fixes the host)
    from xreid_plugin.files import replace_atomically

    output = args.output or args.run / "report.html"
    names = ("features", "make_features", "queries", "depth", "people", "seed")
    options = {name: getattr(args, name) for name in names}
    content = page_content(
        args.run, args.opts, **options, tell=lambda line: tqdm.write(f"report: {line}", file=sys.stderr)
    )
    text = page_text(content)
    output.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(output, lambda part: part.write_text(text, encoding="utf-8"))
    for reason in content["missing"]:
        print(f"left out: {reason}")
    print(f"Written to {output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("the run").add_argument
    add("run", type=Path, metavar="RUN", help="folder of a run")
    add("opts", nargs="*", metavar="KEY VALUE", help="keys to override, such as DATASETS.ROOT /data")
    add("--features", type=Path, metavar="FILE.npz", help="of one of the run's models (default: what the run saved)")
    add_imports(add)
    add(
        "--no-features",
        dest="make_features",
        action="store_false",
        help="leave out maps and rank lists if the run saved no features, instead of embedding the test set now",
    )
    add = parser.add_argument_group("the page").add_argument
    add("--output", type=Path, metavar="FILE", help="default: RUN/report.html")
    add("--queries", type=positive, default=5, metavar="N", help="rank lists of each direction (default: %(default)s)")
    add("--depth", type=positive, default=10, metavar="N", help="tracklets of a rank list (default: %(default)s)")
    add("--people", type=positive, default=2, metavar="N", help="people for the attention maps (default: %(default)s)")
    add_seed(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
