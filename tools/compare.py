"""Trains and evaluates configurations under several seeds, and puts them side by side: tables, CSV and plots.

Examples:
    python tools/compare.py projects/XReID/configs/vcm.yml configs/baselines/*.yml --seeds 0 1 2 --output logs/compare
    python tools/compare.py projects/XReID/configs/ablations/[1-5]*.yml --output logs/ablation TEST.RERANK.ENABLED True
    python tools/compare.py xreid=projects/XReID/configs/vcm.yml configs/baselines/bot_r18.yml --output logs/small \\
        --overlay projects/XReID/configs/synthetic.yml --overlay configs/from-scratch.yml
    python tools/compare.py projects/XReID/configs/vcm.yml configs/baselines/*.yml --output logs/compare --only-report

A configuration is called by its file's name, or as NAME=FILE says. Each run is a process of its own that writes to
DIR/NAME/seedK. Runs that are done are skipped, and those that were cut
off go on: give the same command again. DIR/report.md, results.csv, cmc.png and map.png are written at the end.
Exit status: 0 done, 1 a run has no results, 2 wrong usage.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host)
from xreid_plugin.comparison.plan import plan
from xreid_plugin.comparison.report import write_report
from xreid_plugin.comparison.run import execute_all
from xreid_plugin.user_errors import add_debug_flag, report_user_error

TRAIN_NET = Path(__file__).resolve().with_name("train_net.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    args = parser.parse_intermixed_args(arguments)
    configs, overrides = _split(args.words)
    if not configs:
        parser.error("name a configuration, such as projects/XReID/configs/vcm.yml")
    try:
        runs = plan(configs, args.seeds, args.output, args.overlay, overrides)
        if not args.only_report:
            execute_all(runs, TRAIN_NET, lambda line: print(line, flush=True))
        report = write_report(runs, args.output, shlex.join(["python", "tools/compare.py", *arguments]))
    except (ValueError, OSError) as error:
        return report_user_error("compare", error, args.debug)
    print(f"\n{report}\nWritten to {args.output}")
    return int(not all(run.is_done for run in runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="%(prog)s CONFIG... [--seeds N...] --output DIR [--overlay FILE]... [--only-report] [KEY VALUE]...",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="CONFIG... KEY VALUE...", help="YAML files, then keys to override")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="default: 0")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the runs and the report")
    parser.add_argument(
        "--overlay",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="YAML whose own keys, not those of its _BASE_, are laid over every configuration; may be repeated",
    )
    parser.add_argument("--only-report", action="store_true", help="train nothing: report what earlier runs have left")
    add_debug_flag(parser)
    return parser


def _split(words: list[str]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Leading YAML files with their names, and the KEY VALUE pairs that follow them."""
    number = next((n for n, word in enumerate(words) if not word.endswith((".yml", ".yaml"))), len(words))
    configs = []
    for word in words[:number]:
        name, _, file = word.rpartition("=")
        configs.append((name or Path(file).stem, Path(file)))
    return configs, words[number:]


if __name__ == "__main__":
    # An exception like any other, so that the training of the moment is ended as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
