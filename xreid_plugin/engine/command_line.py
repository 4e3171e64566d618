"""The host's command line, with examples, and with errors for people."""

import argparse
import pickle
import sys
from collections.abc import Callable

import yaml
from fastreid.engine import default_argument_parser, launch

from xreid_plugin.engine.checkpoint import load_for_evaluation
from xreid_plugin.engine.setup import setup
from xreid_plugin.engine.trainer import XReIDTrainer, show_test_sets

EXAMPLES = """examples:
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml DATASETS.ROOT /data/HITSZ-VCM
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --resume
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only MODEL.WEIGHTS model_final.pth
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The host's parser, a required configuration, and --debug.

    Args:
        arguments: None for those of the process.
    """
    parser = default_argument_parser()
    parser.description = "Trains X-ReID, or any model that takes clips, through fast-reid's trainer, or evaluates it."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error in the configuration")
    parsed = parser.parse_args(arguments)
    if not parsed.config_file:
        parser.error("--config-file is missing, such as projects/XReID/configs/vcm.yml")
    return parsed


def run(arguments: argparse.Namespace) -> None:
    """Starts the processes of the job, by the host's launcher; one process runs in place."""
    launch(
        train_or_evaluate,
        arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )


def train_or_evaluate(arguments: argparse.Namespace) -> None:
    """What every process of the job runs. An error of the configuration or the data ends it with exit code 2."""
    try:
        work = _prepared(arguments)
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError, pickle.UnpicklingError) as error:
        if arguments.debug:
            raise
        print(f"train_net.py: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        sys.exit(2)
    work()


def _prepared(arguments: argparse.Namespace) -> Callable[[], object]:
    cfg = setup(arguments)
    if arguments.eval_only:
        show_test_sets(cfg)
        model = XReIDTrainer.build_model(cfg)
        load_for_evaluation(model, cfg.MODEL.WEIGHTS)
        return lambda: XReIDTrainer.test(cfg, model, f"evaluation {cfg.TEST.FRAMES}")
    trainer = XReIDTrainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return trainer.train
