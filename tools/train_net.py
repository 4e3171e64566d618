"""Trains X-ReID, or any model that takes clips, through fast-reid's trainer, or evaluates it.

Examples:
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml DATASETS.ROOT /data/HITSZ-VCM
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --resume
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only MODEL.WEIGHTS model_final.pth

Several processes share SOLVER.IMS_PER_BATCH and give the same losses and metrics as one; --num-gpus sets their number
even if MODEL.DEVICE is cpu:
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --num-gpus 2
    torchrun --nproc-per-node 2 tools/train_net.py --config-file projects/XReID/configs/vcm.yml
    python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --num-machines 2 --machine-rank 0 \\
        --dist-url tcp://192.168.0.10:29500     # the address of machine 0; likewise on the other, with --machine-rank 1

SIGTERM, or Ctrl-C once, lets a run finish its step and save a checkpoint, from which --resume continues in mid-epoch; a
second Ctrl-C ends it at once. After a kill or a crash, --resume continues from the newest intact checkpoint. The run
ends as if it had never been interrupted.
Exit status: 0 done, 1 the run failed, but its checkpoints are intact, 2 the command, the configuration or the data is
wrong, 143 SIGTERM, 130 Ctrl-C or SIGINT.
"""

import argparse
import sys

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ends_well, tool_parser
from _options import add_imports

USAGE = "%(prog)s --config-file FILE [--resume] [--eval-only] [options] [KEY VALUE]..."


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The host's options, a required configuration, --import and --debug.

    Args:
        arguments: None for those of the process.
    """
    return _parser().parse_intermixed_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__, usage=USAGE)
    add = parser.add_argument_group("the run").add_argument
    add("--config-file", required=True, metavar="FILE", help="YAML, such as projects/XReID/configs/vcm.yml")
    add("opts", nargs="*", metavar="KEY VALUE", help="configuration keys to override")
    add("--resume", action="store_true", help="continue from the newest intact checkpoint in OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS, or the last checkpoint in OUTPUT_DIR")
    add_imports(add)
    add = parser.add_argument_group("its processes").add_argument
    add("--num-gpus", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    add("--num-machines", type=int, default=1, metavar="N", help="machines of the job (default: 1)")
    add("--machine-rank", type=int, default=0, metavar="N", help="number of this machine, from 0")
    # The host's default is one port for all runs of a user, so that a second run would meet the first.
    add(
        "--dist-url", default="auto", metavar="URL", help="where several machines meet: tcp://ADDRESS-OF-MACHINE-0:PORT"
    )
    return parser


def main() -> int:
    """Runs the job that the command line describes; returns the exit status."""
    return ends_well("train_net", _run, if_interrupted="--resume goes on from the newest checkpoint, if there is one")


def _run() -> int:
    arguments = parse_arguments()
    # Not at the head: --help and wrong usage need none of it.
    from xreid_plugin.engine.command_line import run

    run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
