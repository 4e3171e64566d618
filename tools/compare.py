"""Trains and evaluates configurations under several seeds, and puts them side by side: tables, CSV and plots.

Examples:
    python tools/compare.py projects/XReID/configs/vcm.yml configs/baselines/*.yml --seeds 0 1 2 --output logs/compare
    python tools/compare.py projects/XReID/configs/ablations/table5/*.yml --output logs/table5 --seeds 0 1 2
    python tools/compare.py xreid=projects/XReID/configs/vcm.yml configs/baselines/bot_r18.yml --output logs/small \\
        --overlay projects/XReID/configs/synthetic.yml --overlay configs/from-scratch.yml
    python tools/compare.py projects/XReID/configs/vcm.yml configs/baselines/*.yml --output logs/compare --only-report

A configuration is named after its file, or by NAME=FILE. Each run is a process of its own that writes to
DIR/NAME/seedK. The same command, given again, skips finished runs and continues interrupted ones.
DIR/report.md, results.csv, cmc.png and map.png are written at the end; the report has the published metrics of
projects/XReID/published.yml beside the measured ones, if the test set is a full HITSZ-VCM or BUPTCampus.
Exit status: 0 done, 1 a run has no results, 2 wrong usage, 130 interrupted.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, UsageError, run_tool, tool_parser
from _options import add_imports

TRAIN_NET = Path(__file__).resolve().with_name("train_net.py")
USAGE = "%(prog)s CONFIG... [--seeds N...] --output DIR [--overlay FILE]... [options] [KEY VALUE]..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    command = shlex.join(["python", "tools/compare.py", *arguments])
    return run_tool(
        parser,
        partial(_compare, command),
        arguments,
        # Keys may stand among the options.
        parser.parse_intermixed_args,
        if_interrupted="the same command goes on where it stopped",
    )


def _compare(command: str, args: argparse.Namespace) -> int:
    configs, overrides = _split(args.words)
    if not configs:
        raise UsageError("name a configuration, such as projects/XReID/configs/vcm.yml")
    from _published import beside

    import xreid_plugin  # noqa: F401  (fixes the host)
    from xreid_plugin.comparison.report import write_report
    from xreid_plugin.comparison.runs import execute_all, plan

    runs = plan(configs, args.seeds, args.output, args.overlay, overrides)
    if args.only_report and not any(run.is_done for run in runs):
        raise ToolFailure(
            f"There are no finished runs in {args.output}. Without --only-report, the command trains them."
        )
    if not args.only_report:
        execute_all(runs, TRAIN_NET, partial(print, flush=True), args.imports)
    print(f"\n{write_report(runs, args.output, command, beside)}\nWritten to {args.output}/report.md")
    missing = sum(not run.is_done for run in runs)
    if missing:
        training = " without --only-report" if args.only_report else ""
        print(f"{missing} of {len(runs)} runs have no results; the same command{training} goes on with them.")
    return int(missing > 0)


class _ListPublished(argparse.Action):
    """Prints the tables of published.yml and ends, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from _published import listed

        print(listed())
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__, usage=USAGE)
    add = parser.add_argument_group("what is compared").add_argument
    add("words", nargs="*", metavar="CONFIG... KEY VALUE...", help="YAML files, then keys to override")
    add("--seeds", type=int, nargs="+", default=[0], metavar="N", help="one run per seed and CONFIG (default: 0)")
    add(
        "--overlay",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="YAML whose own keys, not those of its _BASE_, override every configuration; may be repeated",
    )
    add_imports(add)
    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the runs and the report")
    add(
        "--list-published",
        action=_ListPublished,
        nargs=0,
        help="print the published metrics, and nothing else",
    )
    add("--only-report", action="store_true", help="train nothing: report the results of earlier runs")
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
