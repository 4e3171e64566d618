"""Ranks saved features again, without a model, or sweeps re-ranking over a grid.

Examples:
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only TEST.SAVE_FEATURES run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz --k1 10 20 30 --k2 3 6 --lambda 0 0.1 0.3 0.5 --csv sweep.csv
    python tools/evaluate_features.py other_method.npz --rerank --roc --same-camera keep

Without options the figures are those of the run that saved the file. Any .npz of the form below is ranked by the same
rules. Exit status: 0 done, 2 wrong usage or a file that cannot be used.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from tqdm import tqdm

# isort: split
from xreid_plugin.evaluation import features
from xreid_plugin.evaluation.archive import FeatureFileError
from xreid_plugin.evaluation.report import rankings_table, write_rankings
from xreid_plugin.evaluation.rules import KReciprocal, RankingRules, Temporal
from xreid_plugin.evaluation.scoring import rankings
from xreid_plugin.user_errors import add_debug_flag, report_user_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Ranks and prints; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        data = features.load_features(args.features)
        rules = _rules(args, RankingRules.from_json(data.protocol))
        if args.csv is not None:
            # Now, and not when a long sweep is to be written.
            args.csv.parent.mkdir(parents=True, exist_ok=True)
        count = len(data.tasks) * (1 + len(rules.rerank) + (rules.temporal is not None))
        # None leaves it to tqdm, which is quiet where there is no terminal.
        found = list(tqdm(rankings(data, rules), total=count, unit="ranking", leave=False, disable=None))
        sets = ", ".join(f"{name} {len(task.query)} x {len(task.gallery)}" for name, task in data.tasks.items())
        print(f"{args.features}: queries x gallery: {sets}; same camera: {rules.same_camera}; in percent:")
        print(rankings_table(found))
        if args.csv is not None:
            write_rankings(args.csv, found)
    except FeatureFileError as error:
        return report_user_error("evaluate_features", error, args.debug)
    except (OSError, ValueError) as error:
        return report_user_error(f"evaluate_features: {args.features}", error, args.debug)
    return 0


def _rules(args: argparse.Namespace, saved: RankingRules) -> RankingRules:
    """The rules of the file, changed as the command line asks."""
    rules = replace(saved, roc=saved.roc or args.roc, same_camera=args.same_camera or saved.same_camera)
    if args.temporal and rules.temporal is None:
        rules = replace(rules, temporal=Temporal())
    if not (args.rerank or args.k1 or args.k2 or args.weights):
        return rules
    usual = saved.rerank[0] if saved.rerank else KReciprocal()
    grid = itertools.product(args.k1 or [usual.k1], args.k2 or [usual.k2], args.weights or [usual.weight])
    return replace(rules, rerank=tuple(KReciprocal(*point) for point in grid))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=features.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("features", type=Path, metavar="FEATURES.npz", help="of the form described below")
    add("--rerank", action="store_true", help="re-rank, by the file's setting or 20, 6, 0.3; implied by the next three")
    add("--k1", type=int, nargs="+", metavar="N", help="neighbours that make an encoding")
    add("--k2", type=int, nargs="+", metavar="N", help="neighbours over which encodings are averaged")
    add("--lambda", dest="weights", type=float, nargs="+", metavar="X", help="weights of the cosine distance, 0..1")
    add("--temporal", action="store_true", help="re-rank with halves, by the file's setting or BUPTCampus's")
    add("--roc", action="store_true", help="verification figures as well")
    add("--same-camera", choices=("exclude", "keep"), help="default: the file's rule, else exclude")
    add("--csv", type=Path, metavar="FILE", help="the table in full precision")
    add_debug_flag(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
