"""Estimates how much of a GPU's memory training takes, for batches of several sizes; needs no GPU and no data.

Examples:
    python tools/estimate_memory.py --config-file projects/XReID/configs/vcm.yml
    python tools/estimate_memory.py --config-file projects/XReID/configs/vcm.yml INPUT.CLIP.FRAMES 6 --clips 16 32

Prints the table for float32, for SOLVER.AMP.DTYPE, and with MODEL.BACKBONE.GRAD_CHECKPOINTING besides. Clips are those
of one process: SOLVER.IMS_PER_BATCH divided by the processes. Kernels' own buffers and what CUDA itself takes, about
1 GiB in all, come on top; with checkpointing also what one block keeps while it is computed anew, of twelve blocks
about a twelfth of what checkpointing saves.
Exit status: 0 done, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import run_tool, tool_parser
from _options import add_imports, positive


def main(arguments: Sequence[str] | None = None) -> int:
    """Estimates and prints; returns the exit status."""
    parser = _parser()
    return run_tool(parser, _estimate, arguments, parser.parse_intermixed_args, "nothing is written")


def _estimate(args: argparse.Namespace) -> int:
    from _step_memory import step_memory
    from tabulate import tabulate

    import xreid_plugin  # noqa: F401  (fixes the host)
    from xreid_plugin.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    rows: list[list[object]] = []
    for clips in args.clips:
        for half, checkpointed in ((False, False), (True, False), (True, True)):
            cfg.SOLVER.AMP.ENABLED, cfg.MODEL.BACKBONE.GRAD_CHECKPOINTING = half, checkpointed
            way = f"{cfg.SOLVER.AMP.DTYPE if half else 'float32'}{', checkpointed' if checkpointed else ''}"
            found = step_memory(cfg, clips)
            gibibytes = [size / 2**30 for size in (*found, sum(found))]
            rows.append([f"{clips} x {cfg.INPUT.CLIP.FRAMES}", way, *gibibytes])
    headers = ["clips x frames", "", "weights, Adam", "kept for backward", "GiB in all"]
    print(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".1f"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("the model").add_argument
    add("--config-file", required=True, metavar="FILE", help="YAML, such as projects/XReID/configs/vcm.yml")
    add("opts", nargs="*", metavar="KEY VALUE", help="configuration keys to override")
    add("--clips", type=positive, nargs="+", default=[16, 64], metavar="N", help="of a batch (default: 16 64)")
    add_imports(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
