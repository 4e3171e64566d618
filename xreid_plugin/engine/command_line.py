"""The host's command line, with examples, and with errors for people."""

import argparse
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import yaml
from fastreid.engine import default_argument_parser

from xreid_plugin.engine.checkpoint import load_for_evaluation
from xreid_plugin.engine.launch import launch, plan_job, speaks_for_machine
from xreid_plugin.engine.setup import read_config, setup
from xreid_plugin.engine.signals import RunStopped
from xreid_plugin.engine.step import NonFiniteLossError
from xreid_plugin.engine.trainer import XReIDTrainer, show_test_sets
from xreid_plugin.files import WriteError
from xreid_plugin.host import resolve_device
from xreid_plugin.user_errors import USAGE_ERROR, report_user_error

EXAMPLES = """examples:
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml DATASETS.ROOT /data/HITSZ-VCM
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --resume
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --eval-only MODEL.WEIGHTS model_final.pth

several processes, which share SOLVER.IMS_PER_BATCH and give the losses and figures of one; --num-gpus counts them also
where MODEL.DEVICE is cpu:
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --num-gpus 2
  torchrun --nproc-per-node 2 tools/train_net.py --config-file projects/XReID/configs/vcm.yml
  python tools/train_net.py --config-file projects/XReID/configs/vcm.yml --num-machines 2 --machine-rank 0 \\
      --dist-url tcp://192.168.0.10:29500      # the address of machine 0; likewise on the other, with --machine-rank 1
"""

EXIT_CODES = """
exit codes: 0 done; 1 the run failed, its checkpoints are whole; 2 the command, the configuration or the data is wrong;
143 SIGTERM, 130 Ctrl-C or SIGINT: the step was finished and a checkpoint saved, from which --resume goes on in
mid-epoch. A second Ctrl-C ends the run at once. After a kill or a crash --resume goes on from the newest whole
checkpoint; it all ends as if it had never been interrupted.
"""
RUN_FAILED = 1


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The host's parser, a required configuration, and --debug.

    Args:
        arguments: None for those of the process.
    """
    parser = default_argument_parser()
    parser.description = "Trains X-ReID, or any model that takes clips, through fast-reid's trainer, or evaluates it."
    parser.epilog = EXAMPLES + EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    # The host's is one port for all runs of a user, so that a second run would meet the first.
    parser.set_defaults(dist_url="auto")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error in the configuration")
    parsed = parser.parse_args(arguments)
    if not parsed.config_file:
        parser.error("--config-file is missing, such as projects/XReID/configs/vcm.yml")
    return parsed


def run(arguments: argparse.Namespace) -> None:
    """Starts the processes of the job; one process runs in place."""
    with _errors_for_people(arguments):
        job = plan_job(
            arguments.num_gpus,
            arguments.num_machines,
            arguments.machine_rank,
            arguments.dist_url,
            on_cuda=resolve_device(read_config(arguments).MODEL.DEVICE).type == "cuda",
        )
    launch(job, train_or_evaluate, (arguments,))


def train_or_evaluate(arguments: argparse.Namespace) -> None:
    """What every process of the job runs; EXIT_CODES tells how it ends."""
    with _errors_for_people(arguments):
        work = _prepared(arguments)
    try:
        work()
    except RunStopped as stop:
        sys.exit(stop.exit_code)
    except (NonFiniteLossError, WriteError) as error:
        logging.getLogger(__name__).error(str(error))
        if speaks_for_machine():
            report_user_error("train_net", error, arguments.debug)
        sys.exit(RUN_FAILED)


@contextmanager
def _errors_for_people(arguments: argparse.Namespace) -> Iterator[None]:
    try:
        yield
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError, pickle.UnpicklingError) as error:
        if speaks_for_machine():
            report_user_error("train_net", error, arguments.debug)
        sys.exit(USAGE_ERROR)


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
