"""Draws what a run has learned, as pictures: rank lists, maps, attention and curves.

Examples:
    python tools/train_net.py --config-file RUN/config.yaml --eval-only TEST.SAVE_FEATURES RUN/features.npz
    python tools/visualize.py ranks RUN/features.npz --config-file RUN/config.yaml --queries 5 --pick worst
    python tools/visualize.py embedding RUN/features.npz --output map.svg
    python tools/visualize.py attention --config-file RUN/config.yaml --people 3 MODEL.WEIGHTS RUN/model_final.pth
    python tools/visualize.py curves RUN

RUN is the folder of a run. tools/report.py puts all of this into one page. Exit status: 0 done, 2 wrong usage or input
that cannot be used.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from tqdm import tqdm

import xreid_plugin  # noqa: F401  (mends the host)
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.evaluation.rules import RankingRules
from xreid_plugin.user_errors import add_debug_flag, report_user_error
from xreid_plugin.visualization.cmc import cmc_panels
from xreid_plugin.visualization.curves import training_panels
from xreid_plugin.visualization.distances import distance_panels, pair_counts
from xreid_plugin.visualization.embedding import embedding_map
from xreid_plugin.visualization.embedding_panels import map_panels
from xreid_plugin.visualization.evaluations import read_evaluations
from xreid_plugin.visualization.frame_source import FrameSource
from xreid_plugin.visualization.history import METRICS_FILE, read_history
from xreid_plugin.visualization.panels import picture_format, write_sheet
from xreid_plugin.visualization.rank_lists import PICKS, rank_lists
from xreid_plugin.visualization.rank_strips import strip_width, strips_panel

OPTIONS = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
OPTIONS.add_argument("--output", type=Path, metavar="FILE", help="PNG or SVG, by its suffix; default: beside the input")
OPTIONS.add_argument("--seed", type=int, default=0, help="of all that is drawn by lot; default: 0")
add_debug_flag(OPTIONS)

CONFIG = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
CONFIG.add_argument(
    "--config-file",
    required=True,
    metavar="FILE",
    help="such as the config.yaml of a run; KEY VALUE pairs, such as DATASETS.ROOT /data, override it",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws one picture; returns the exit status."""
    parser = _parser()
    # Keys may stand anywhere, which argparse does not know within a command.
    args, opts = parser.parse_known_args(arguments)
    if opts and not (hasattr(args, "config_file") and all(not word.startswith("--") for word in opts)):
        parser.error(f"unrecognized arguments: {' '.join(opts)}")
    args.opts = opts
    try:
        output = args.output or args.default_output(args)
        # Now, and not when all is computed.
        picture_format(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        args.draw(args, output)
    except (OSError, ValueError, KeyError, FrameError) as error:
        return report_user_error("visualize", error, args.debug)
    print(output)
    return 0


def draw_ranks(args: argparse.Namespace, output: Path) -> None:
    """A strip a query, for each direction."""
    data = load_features(args.features)
    rules = RankingRules.from_json(data.protocol)
    frames = FrameSource(_config(args), data)
    panels = []
    # None leaves it to tqdm, which is quiet where there is no terminal.
    for direction in tqdm(data.tasks, desc="Rank lists", unit="direction", leave=False, disable=None):
        lists = rank_lists(data, direction, args.queries, args.depth, rules.same_camera, args.pick, args.seed)
        panels.append(strips_panel(direction, lists, data, frames, args.frames))
    write_sheet(panels, output, columns=1, width=strip_width(args.depth))


def draw_embedding(args: argparse.Namespace, output: Path) -> None:
    """The map of both modalities, and the histograms of distances."""
    data = load_features(args.features)
    counts = pair_counts(data, RankingRules.from_json(data.protocol).same_camera)
    write_sheet([*map_panels(embedding_map(data, args.seed)), *distance_panels(counts)], output)


def draw_attention(args: argparse.Namespace, output: Path) -> None:
    """Two panels a person, one a modality."""
    # Not at the head: other pictures need no model, which takes seconds to import.
    from xreid_plugin.visualization.attention_maps import attention_maps, choose_pairs
    from xreid_plugin.visualization.attention_panels import attention_panels
    from xreid_plugin.visualization.trained_model import load_trained_model

    cfg = _config(args)
    trained = load_trained_model(cfg)
    panels = []
    pairs = choose_pairs(cfg, args.people, args.seed)
    for pair in tqdm(pairs, desc="Attention", unit="person", leave=False, disable=None):
        panels += attention_panels(pair, attention_maps(trained.model, pair, trained.has_cii))
    write_sheet(panels, output)


def draw_curves(args: argparse.Namespace, output: Path) -> None:
    """What the run wrote to metrics.json, and the CMC of its evaluations."""
    evaluations = read_evaluations(args.run)
    history = read_history(args.run / METRICS_FILE)
    write_sheet([*training_panels(history, evaluations), *cmc_panels(evaluations)], output)


def _config(args: argparse.Namespace) -> Any:
    # Likewise.
    from xreid_plugin.engine.config_checks import check_config
    from xreid_plugin.engine.setup import read_config

    cfg = read_config(args)
    check_config(cfg)
    return cfg


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="ranks|embedding|attention|curves")

    def command(name: str, draw: Callable[[argparse.Namespace, Path], None], *parents: argparse.ArgumentParser) -> Any:
        summary = (draw.__doc__ or "").strip()
        added = commands.add_parser(
            name, help=summary, description=summary, parents=[OPTIONS, *parents], allow_abbrev=False
        )
        added.set_defaults(draw=draw)
        return added.add_argument

    add = command("ranks", draw_ranks, CONFIG)
    _add_features(add, "ranks")
    add("--queries", type=_count, default=6, metavar="N", help="of each direction; default: 6")
    add("--depth", type=_count, default=10, metavar="N", help="gallery tracklets of a strip; default: 10")
    add("--frames", type=_count, default=1, metavar="N", help="of each tracklet; default: 1")
    add("--pick", choices=PICKS, default="spread", help="queries by their average precision; default: spread")
    _add_features(command("embedding", draw_embedding), "embedding")
    command("attention", draw_attention, CONFIG)("--people", type=_count, default=2, metavar="N", help="default: 2")
    commands.choices["attention"].set_defaults(
        default_output=lambda args: Path(args.config_file).with_name("attention.png")
    )
    command("curves", draw_curves)("run", type=Path, metavar="RUN", help="folder of a run")
    commands.choices["curves"].set_defaults(default_output=lambda args: args.run / "curves.png")
    return parser


def _add_features(add: Any, name: str) -> None:
    add("features", type=Path, metavar="FEATURES.npz", help="as TEST.SAVE_FEATURES saves them")
    add.__self__.set_defaults(default_output=lambda args: args.features.with_name(f"{args.features.stem}_{name}.png"))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
