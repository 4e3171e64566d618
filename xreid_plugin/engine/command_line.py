"""What tools/train_net.py runs: one process or several, and errors for people.

The tool's --help tells the exit codes.
"""

import argparse
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine.checkpoint import load_for_evaluation
from xreid_plugin.engine.evaluation_sets import show_test_sets
from xreid_plugin.engine.job import plan_job
from xreid_plugin.engine.launch import launch
from xreid_plugin.engine.rank import leave_together, speaks_for_machine
from xreid_plugin.engine.run_record import evaluation_label, write_evaluation_config
from xreid_plugin.engine.setup import read_config, setup
from xreid_plugin.engine.signals import RunStopped
from xreid_plugin.engine.step import NonFiniteLossError
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.extensions import import_extensions
from xreid_plugin.files import WriteError
from xreid_plugin.host import resolve_device
from xreid_plugin.loader_errors import WorkerDiedError, end_workers, from_worker, loader_errors_told
from xreid_plugin.user_errors import USAGE_ERROR, message_of, report_user_error

logger = logging.getLogger(__name__)

RUN_FAILED = 1

_TRAINS_ON = {
    "MultiStepLR": "A larger SOLVER.MAX_EPOCH trains on.",
    # Its length is in the checkpoint: under a larger one the learning rate would rise again.
    "CosineAnnealingLR": "The cosine of its learning rate is at its end: to train on, begin a run in another "
    "OUTPUT_DIR with this one's model_final.pth as MODEL.WEIGHTS.",
}


def run(arguments: argparse.Namespace) -> None:
    """Starts the processes of the job; one process runs in place."""
    with _errors_for_people(arguments):
        import_extensions(arguments.imports)
        job = plan_job(
            arguments.num_gpus,
            arguments.num_machines,
            arguments.machine_rank,
            arguments.dist_url,
            on_cuda=resolve_device(read_config(arguments).MODEL.DEVICE).type == "cuda",
        )
    launch(job, train_or_evaluate, (arguments,))


def train_or_evaluate(arguments: argparse.Namespace) -> None:
    """What every process of the job runs; the tool's --help tells how it ends."""
    with _errors_for_people(arguments):
        work = _prepared(arguments)
    try:
        with loader_errors_told():
            work()
    except RunStopped as stop:
        leave_together()
        sys.exit(stop.exit_code)
    except FrameError as error:
        _tell(error, arguments)
        sys.exit(USAGE_ERROR)
    except WorkerDiedError as error:
        end_workers()
        _tell(error, arguments)
        sys.exit(RUN_FAILED)
    except (NonFiniteLossError, WriteError, OSError) as error:
        _tell(error, arguments)
        sys.exit(RUN_FAILED)
    except ValueError as error:
        # A worker's is about the data that it read; another is a fault of the program, which wants its traceback.
        if not from_worker(error):
            raise
        _tell(error, arguments)
        sys.exit(USAGE_ERROR)


def _tell(error: Exception, arguments: argparse.Namespace) -> None:
    logger.error(message_of(error))
    if speaks_for_machine():
        report_user_error("train_net", error, arguments.debug)


@contextmanager
def _errors_for_people(arguments: argparse.Namespace) -> Iterator[None]:
    try:
        yield
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError, pickle.UnpicklingError) as error:
        if speaks_for_machine():
            report_user_error("train_net", error, arguments.debug)
        sys.exit(USAGE_ERROR)


def _prepared(arguments: argparse.Namespace) -> Callable[[], object]:
    # Again, as a process that was started for this rank has imported nothing yet.
    import_extensions(arguments.imports)
    cfg, checkpoint = setup(arguments)
    if checkpoint is not None:
        show_test_sets(cfg)
        model = XReIDTrainer.build_model(cfg)
        load_for_evaluation(model, checkpoint)
        write_evaluation_config(cfg)
        return lambda: XReIDTrainer.test(cfg, model, evaluation_label(cfg))
    trainer = XReIDTrainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return lambda: _train(trainer, cfg.OUTPUT_DIR)


def _train(trainer: XReIDTrainer, folder: str) -> None:
    trainer.train()
    if trainer.is_finished:
        logger.info(_finished(Path(folder), trainer))
        return
    logger.info(f"Checkpoints, results and log are in {folder}; python tools/report.py {folder} makes a page of them.")


def _finished(folder: Path, trainer: XReIDTrainer) -> str:
    figures = sorted(map(str, folder.glob(f"results_*epoch_{trainer.start_epoch}.json"))) or ["none"]
    return (
        f"The run is finished: it stands at iteration {trainer.start_iter} of {trainer.max_iter}, and has had "
        f"{trainer.start_epoch} of its {trainer.max_epoch} epochs. Figures of the last: {', '.join(figures)}. "
        f"{_TRAINS_ON[trainer.cfg.SOLVER.SCHED]} --eval-only in place of --resume evaluates."
    )
