"""What tools/train_net.py runs: one process or several, and errors for people.

The tool's --help tells the exit codes.
"""

import argparse
import logging
import multiprocessing
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import yaml
from fastreid.utils import comm

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine.checkpoints import load_for_evaluation
from xreid_plugin.engine.evaluation import show_test_sets
from xreid_plugin.engine.launch import launch, leave_together
from xreid_plugin.engine.setup import read_config, setup
from xreid_plugin.engine.signals import RunStopped
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.extensions import import_extensions
from xreid_plugin.host import WORKER_DIED, resolve_device
from xreid_plugin.user_errors import USAGE_ERROR, message_of, report_user_error

logger = logging.getLogger(__name__)

RUN_FAILED = 1
_OF_WORKERS = (
    "Where memory runs out, lower DATALOADER.NUM_WORKERS or INPUT's sizes; 0 reads in the main process. "
    "--resume goes on from the last checkpoint."
)


def run(arguments: argparse.Namespace) -> None:
    """Starts the processes of the job; one process runs in place."""
    with _errors_for_people(arguments):
        import_extensions(arguments.imports)
        cfg = read_config(arguments)
        on_cuda = resolve_device(cfg.MODEL.DEVICE).type == "cuda"
        if arguments.num_machines > 1 and not re.fullmatch(r"tcp://.+:\d+", arguments.dist_url):
            raise ValueError("--dist-url must say where several machines meet: tcp://ADDRESS-OF-MACHINE-0:PORT.")
    launch(train_or_evaluate, arguments, on_cuda, timedelta(minutes=cfg.PROCESS_TIMEOUT))


def train_or_evaluate(arguments: argparse.Namespace) -> None:
    """What every process of the job runs; the tool's --help tells how it ends."""
    with _errors_for_people(arguments):
        work = _prepared(arguments)
    try:
        work()
    except RunStopped as stop:
        leave_together()
        sys.exit(stop.exit_code)
    except FrameError as error:
        _tell(error, arguments, USAGE_ERROR)
    except ConnectionError as error:
        # A worker may break its connection before torch hears of its end.
        _tell(RuntimeError(f"{WORKER_DIED} has been Killed ({error}). {_OF_WORKERS}"), arguments, RUN_FAILED)
    except (FloatingPointError, OSError) as error:
        _tell(error, arguments, RUN_FAILED)
    except RuntimeError as error:
        if not str(error).startswith(WORKER_DIED):
            raise
        _tell(RuntimeError(f"{str(error).rstrip('.')}. {_OF_WORKERS}"), arguments, RUN_FAILED)


def _tell(error: Exception, arguments: argparse.Namespace, exit_code: int) -> None:
    logger.error(message_of(error))
    report_user_error("train_net", error, arguments.debug)
    # Torch would wait for every worker of a loader whose iterator is held by a traceback.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in multiprocessing.active_children():
        worker.kill()
    sys.exit(exit_code)


@contextmanager
def _errors_for_people(arguments: argparse.Namespace) -> Iterator[None]:
    try:
        yield
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError) as error:
        # What is wrong for all processes of a machine is told once.
        if comm.get_local_rank() == 0:
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
        return lambda: XReIDTrainer.test(cfg, model, checkpoint=checkpoint.path)
    trainer = XReIDTrainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return lambda: _train(trainer, cfg.OUTPUT_DIR)


def _train(trainer: XReIDTrainer, folder: str) -> None:
    trainer.train()
    if trainer.is_finished:
        logger.info(
            f"The run is finished: it stands at iteration {trainer.start_iter} of {trainer.max_iter}, and its results "
            f"are in {folder}. --eval-only in place of --resume evaluates; to train on, begin a run in another "
            "OUTPUT_DIR with this one's model_final.pth as MODEL.WEIGHTS."
        )
        return
    logger.info(f"Checkpoints, results and log are in {folder}; python tools/report.py {folder} makes a page of them.")
