"""Ranks saved features again, without a model, or sweeps re-ranking over a grid.

Examples:
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only TEST.SAVE_FEATURES run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz --k1 10 20 30 --k2 3 6 --lambda 0 0.1 0.3 0.5 --csv sweep.csv
    python tools/evaluate_features.py other_method.npz --rerank --roc --same-camera keep

Without options the figures are those of the run that saved the file. Any .npz in the format below is ranked by the same
rules.
Exit status: 0 done, 2 wrong usage or a file that cannot be used, 130 interrupted.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import docstring_of, run_tool, tool_parser
from _options import add_features

if TYPE_CHECKING:
    from xreid_plugin.evaluation.rules import RankingRules


def main(arguments: Sequence[str] | None = None) -> int:
    """Ranks and prints; returns the exit status."""
    return run_tool(_parser(), _evaluate, arguments)


def _evaluate(args: argparse.Namespace) -> int:
    from xreid_plugin.evaluation.archive import FeatureFileError

    try:
        text = _rank(args)
    except FeatureFileError:
        # It names the file itself.
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{args.features}: {error}") from error
    print(text)
    return 0


def _rank(args: argparse.Namespace) -> str:
    from tqdm import tqdm

    from xreid_plugin.evaluation.features import load_features
    from xreid_plugin.evaluation.report import rankings_table, write_rankings
    from xreid_plugin.evaluation.rules import RankingRules
    from xreid_plugin.evaluation.scoring import rankings

    data = load_features(args.features)
    rules = _rules(args, RankingRules.from_json(data.protocol))
    if args.csv is not None:
        # Now, and not when a long sweep is to be written.
        args.csv.parent.mkdir(parents=True, exist_ok=True)
    count = len(data.tasks) * (1 + len(rules.rerank) + (rules.temporal is not None))
    # None leaves it to tqdm, which is quiet where there is no terminal.
    found = list(tqdm(rankings(data, rules), total=count, unit="ranking", leave=False, disable=None))
    sets = ", ".join(f"{name} {len(task.query)} x {len(task.gallery)}" for name, task in data.tasks.items())
    lines = [f"{args.features}: queries x gallery: {sets}; same camera: {rules.same_camera}; in percent:"]
    lines.append(rankings_table(found))
    if args.csv is not None:
        write_rankings(args.csv, found)
        lines.append(f"\nWritten to {args.csv}")
    return "\n".join(lines)


def _rules(args: argparse.Namespace, saved: "RankingRules") -> "RankingRules":
    """The rules of the file, changed by the command line."""
    from xreid_plugin.evaluation.rules import KReciprocal, Temporal

    rules = replace(saved, roc=saved.roc or args.roc, same_camera=args.same_camera or saved.same_camera)
    if args.temporal and rules.temporal is None:
        rules = replace(rules, temporal=Temporal())
    if not (args.rerank or args.k1 or args.k2 or args.weights):
        return rules
    usual = saved.rerank[0] if saved.rerank else KReciprocal()
    grid = itertools.product(args.k1 or [usual.k1], args.k2 or [usual.k2], args.weights or [usual.weight])
    return replace(rules, rerank=tuple(KReciprocal(*point) for point in grid))


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__, docstring_of("xreid_plugin.evaluation.features"))
    add = parser.add_argument_group("input").add_argument
    add_features(add)
    add = parser.add_argument_group("re-ranking").add_argument
    add("--rerank", action="store_true", help="re-rank: the file's setting, or 20, 6, 0.3; implied by the next three")
    add("--k1", type=int, nargs="+", metavar="N", help="neighbours that form an encoding")
    add("--k2", type=int, nargs="+", metavar="N", help="neighbours over which encodings are averaged")
    add("--lambda", dest="weights", type=float, nargs="+", metavar="X", help="weights of the cosine distance, 0..1")
    add("--temporal", action="store_true", help="re-rank with halves, using the file's setting or BUPTCampus's")
    add = parser.add_argument_group("figures").add_argument
    add("--roc", action="store_true", help="print verification figures as well")
    add("--same-camera", choices=("exclude", "keep"), help="default: the file's rule, else exclude")
    add = parser.add_argument_group("output").add_argument
    add("--csv", type=Path, metavar="FILE", help="write the table in full precision")
    return parser


if __name__ == "__main__":
    sys.exit(main())
