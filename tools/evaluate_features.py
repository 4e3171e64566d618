"""Ranks saved features again, without a model, or sweeps re-ranking over a grid.

Examples:
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only TEST.SAVE_FEATURES run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz
    python tools/evaluate_features.py run/vcm.npz --k1 10 20 30 --k2 3 6 --lambda 0 0.1 0.3 0.5 --csv logs/sweep.csv
    python tools/evaluate_features.py other_method.npz --rerank --roc --same-camera keep

Without options the metrics are those of the run that saved the file. Any .npz in the format below is ranked in the same
way.
Exit status: 0 done, 2 wrong usage or a file that cannot be used, 130 interrupted.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import docstring_of, run_tool, tool_parser
from _options import add_features, positive

if TYPE_CHECKING:
    from xreid_plugin.evaluation.ranking import RankingProtocol


def main(arguments: Sequence[str] | None = None) -> int:
    """Ranks and prints; returns the exit status."""
    return run_tool(_parser(), _evaluate, arguments)


def _evaluate(args: argparse.Namespace) -> int:
    from tabulate import tabulate
    from tqdm import tqdm

    from xreid_plugin.evaluation.features import load_features
    from xreid_plugin.evaluation.ranking import RankingProtocol, rankings
    from xreid_plugin.evaluation.results import dataset_title

    data = load_features(args.features)
    protocol = _protocol(args, RankingProtocol.from_json(data.protocol))
    if args.csv is not None:
        # Now, and not when a long sweep is to be written.
        args.csv.parent.mkdir(parents=True, exist_ok=True)
    count = len(data.tasks) * (1 + len(protocol.rerank) + (protocol.temporal is not None))
    # None leaves it to tqdm, which is quiet where there is no terminal.
    found = list(tqdm(rankings(data, protocol), total=count, unit="ranking", leave=False, disable=None))
    rows: list[list[object]] = [["ranking", "k1", "k2", "lambda", *found[0].metrics]]
    for ranking in found:
        # In temporal re-ranking λ is two weights.
        k1, k2, *weights = ("", "", "") if ranking.method is None else astuple(ranking.method)
        rows.append([ranking.label, str(k1), str(k2), " ".join(map(str, weights)), *ranking.metrics.values()])
    sets = ", ".join(f"{name} {len(task.query)} x {len(task.gallery)}" for name, task in data.tasks.items())
    of_set = f" ({title})" if (title := dataset_title(data.protocol)) else ""
    print(f"{args.features}{of_set}: queries x gallery: {sets}; same camera: {protocol.same_camera}; in percent:")
    # What is text stays as it is: k1 has no decimals.
    print(tabulate(rows, headers="firstrow", tablefmt="pipe", floatfmt=".2f", disable_numparse=[0, 1, 2, 3]))
    if args.csv is not None:
        with args.csv.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        print(f"\nWritten to {args.csv}")
    return 0


def _protocol(args: argparse.Namespace, saved: "RankingProtocol") -> "RankingProtocol":
    """The protocol of the file, changed by the command line."""
    from xreid_plugin.evaluation.rerank import KReciprocal, Temporal

    protocol = replace(saved, roc=saved.roc or args.roc, same_camera=args.same_camera or saved.same_camera)
    if args.temporal and protocol.temporal is None:
        protocol = replace(protocol, temporal=Temporal())
    if not (args.rerank or args.k1 or args.k2 or args.weights):
        return protocol
    usual = saved.rerank[0] if saved.rerank else KReciprocal()
    grid = itertools.product(args.k1 or [usual.k1], args.k2 or [usual.k2], args.weights or [usual.weight])
    return replace(protocol, rerank=tuple(KReciprocal(*point) for point in grid))


def _weight(text: str) -> float:
    """0..1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{number} is not in 0..1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__, docstring_of("xreid_plugin.evaluation.features"))
    add = parser.add_argument_group("input").add_argument
    add_features(add)
    add = parser.add_argument_group("re-ranking").add_argument
    add("--rerank", action="store_true", help="re-rank: the file's setting, or 20, 6, 0.3; implied by the next three")
    add("--k1", type=positive, nargs="+", metavar="N", help="neighbours that form an encoding")
    add("--k2", type=positive, nargs="+", metavar="N", help="neighbours over which encodings are averaged")
    add("--lambda", dest="weights", type=_weight, nargs="+", metavar="X", help="weights of the cosine distance, 0..1")
    add("--temporal", action="store_true", help="re-rank with halves, by the file's setting, or the usual one")
    add = parser.add_argument_group("metrics").add_argument
    add("--roc", action="store_true", help="print verification metrics as well")
    add("--same-camera", choices=("exclude", "keep"), help="default: as the file says, else exclude")
    add = parser.add_argument_group("output").add_argument
    add("--csv", type=Path, metavar="FILE", help="write the table in full precision")
    return parser


if __name__ == "__main__":
    sys.exit(main())
