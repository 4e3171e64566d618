"""Draws what a run has learned, as pictures: rank lists, maps, attention and curves.

Examples:
    python tools/train_net.py --config-file RUN/config.yaml --eval-only TEST.SAVE_FEATURES RUN/features.npz
    python tools/visualize.py ranks RUN/features.npz --config-file RUN/config.yaml --queries 5 --pick worst
    python tools/visualize.py embedding RUN/features.npz --output map.svg
    python tools/visualize.py attention --config-file RUN/config.yaml --people 3 MODEL.WEIGHTS RUN/model_final.pth
    python tools/visualize.py curves RUN

RUN is the folder of a run. tools/report.py puts all of this into one page.
Exit status: 0 done, 2 wrong usage or input that cannot be used, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import UsageError, add_debug, run_tool, tool_parser
from _options import add_features, add_imports, add_seed, positive

Draw = Callable[[argparse.Namespace, Path], None]
FORMATS = (".png", ".svg")
PICKS = ("spread", "best", "worst", "random")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws one picture; returns the exit status."""
    parser = _parser()

    def read(words: Sequence[str] | None) -> argparse.Namespace:
        # Keys may stand anywhere, which argparse does not know within a command.
        args, opts = parser.parse_known_args(words)
        args.opts = opts
        return args

    return run_tool(parser, _picture, arguments, read)


def _picture(args: argparse.Namespace) -> int:
    if args.opts and not (hasattr(args, "config_file") and all(not word.startswith("--") for word in args.opts)):
        raise UsageError(f"unrecognized arguments: {' '.join(args.opts)}")
    import xreid_plugin  # noqa: F401  (fixes the host)

    output = args.output or args.default_output(args)
    # Now, and not when all is computed.
    if output.suffix.lower() not in FORMATS:
        raise UsageError(f"{output}: pictures are written as .png or .svg; end the file's name with one of them")
    args.draw(args, output)
    print(f"Written to {output}")
    return 0


def draw_ranks(args: argparse.Namespace, output: Path) -> None:
    """One strip per query, for each direction."""
    from xreid_plugin.evaluation.features import load_features
    from xreid_plugin.evaluation.results import protocol_title
    from xreid_plugin.visualization.panels import write_sheet
    from xreid_plugin.visualization.rank_lists import frames_of, rank_lists, strip_width, strips_panel

    data = load_features(args.features)
    frames = frames_of(_config(args), data)
    directions = rank_lists(data, args.queries, args.depth, args.pick, args.seed).items()
    panels = [strips_panel(direction, lists, data, frames, args.frames) for direction, lists in directions]
    width, note = strip_width(args.depth), protocol_title(data.protocol)
    write_sheet(panels, output, columns=1, width=width, note=note)


def draw_embedding(args: argparse.Namespace, output: Path) -> None:
    """The map of both modalities, and the histograms of similarities."""
    from xreid_plugin.evaluation.features import load_features
    from xreid_plugin.evaluation.results import protocol_title
    from xreid_plugin.visualization.embedding import map_panels, pair_counts, similarity_panels
    from xreid_plugin.visualization.panels import write_sheet

    data = load_features(args.features)
    panels = [*map_panels(data, args.seed), *similarity_panels(pair_counts(data))]
    write_sheet(panels, output, note=protocol_title(data.protocol))


def draw_attention(args: argparse.Namespace, output: Path) -> None:
    """Two panels per person, one per modality."""
    from xreid_plugin.visualization.attention import attention_of_people
    from xreid_plugin.visualization.panels import write_sheet

    write_sheet(attention_of_people(_config(args), args.people, args.seed), output)


def draw_curves(args: argparse.Namespace, output: Path) -> None:
    """What the run wrote to metrics.json, and the CMC of its evaluations."""
    from xreid_plugin.visualization.curves import cmc_panels, training_panels
    from xreid_plugin.visualization.panels import write_sheet
    from xreid_plugin.visualization.run_folder import ends_of, read_evaluations, read_history

    evaluations = read_evaluations(args.run)
    ends = ends_of(evaluations)
    panels = [*training_panels(read_history(args.run), evaluations), *cmc_panels(ends)]
    write_sheet(panels, output, note="; ".join(last.title for _, last in ends.values()))


def _config(args: argparse.Namespace) -> Any:
    from xreid_plugin.checks import check_config
    from xreid_plugin.engine.setup import read_config

    cfg = read_config(args)
    check_config(cfg)
    return cfg


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    commands = parser.add_subparsers(required=True, title="pictures, each with a --help of its own", metavar="PICTURE")

    def command(name: str, draw: Draw, default: Callable[[argparse.Namespace], Path]) -> Any:
        summary = (draw.__doc__ or "").strip()
        added = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        added.set_defaults(draw=draw, default_output=default)
        add_debug(added, argparse.SUPPRESS)
        _add_output(added.add_argument)
        return added.add_argument

    add = command("ranks", draw_ranks, lambda args: _beside_features(args, "ranks"))
    add_features(add)
    _add_config(add)
    add("--queries", type=positive, default=6, metavar="N", help="queries of each direction (default: %(default)s)")
    add("--depth", type=positive, default=10, metavar="N", help="gallery tracklets per strip (default: %(default)s)")
    add("--frames", type=positive, default=1, metavar="N", help="frames of each tracklet (default: %(default)s)")
    add("--pick", choices=PICKS, default="spread", help="which queries, by average precision (default: %(default)s)")
    add = command("embedding", draw_embedding, lambda args: _beside_features(args, "embedding"))
    add_features(add)
    add = command("attention", draw_attention, lambda args: Path(args.config_file).with_name("attention.png"))
    _add_config(add)
    add("--people", type=positive, default=2, metavar="N", help="people for the attention maps (default: %(default)s)")
    add = command("curves", draw_curves, lambda args: args.run / "curves.png")
    add("run", type=Path, metavar="RUN", help="folder of a run")
    return parser


def _add_output(add: Any) -> None:
    add("--output", type=Path, metavar="FILE", help="PNG or SVG, by its suffix (default: beside the input)")
    add_seed(add)


def _add_config(add: Any) -> None:
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="such as the config.yaml of a run; KEY VALUE pairs, such as DATASETS.ROOT /data, override it",
    )
    add_imports(add)


def _beside_features(args: argparse.Namespace, name: str) -> Path:
    file: Path = args.features
    return file.with_name(f"{file.stem}_{name}.png")


if __name__ == "__main__":
    sys.exit(main())
