"""What a job writes down of how it was started: a log and its configuration.

An evaluation has files of its own: those of the run may be of one that is training, and is to be resumed or repeated.
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

from fastreid.engine import default_setup
from fastreid.utils import comm
from fastreid.utils.collect_env import collect_env_info
from fastreid.utils.logger import setup_logger

from xreid_plugin.engine.console import details_to_file
from xreid_plugin.files import replace_atomically

logger = logging.getLogger(__name__)

# The host's name of the configuration of a run.
CONFIG_FILE = "config.yaml"


def begin_training_log(cfg: Any, args: argparse.Namespace) -> None:
    """Runs the host's setup: ``log.txt``, environment, ``config.yaml``.

    Args:
        cfg: complete.
        args: of the command line.
    """
    _set_up_loggers(cfg.OUTPUT_DIR)
    with details_to_file():
        # The host would log the file from a handle that it leaves open; it logs the whole configuration anyway.
        default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": ""}))
    logger.info(f"Environment and configuration: {cfg.OUTPUT_DIR}/log.txt and {CONFIG_FILE}; seed {cfg.SEED}")


def evaluation_label(cfg: Any) -> str:
    """What an evaluation of ``--eval-only`` is called, such as "evaluation even"."""
    return f"evaluation {cfg.TEST.FRAMES}"


def begin_evaluation_log(cfg: Any) -> None:
    """Begins ``log_evaluation_FRAMES.txt`` with the command and the environment."""
    path = _evaluation_file(cfg, "log", "txt")
    _set_up_loggers(str(path))
    host = logging.getLogger("fastreid")
    with details_to_file():
        host.info(f"Command line: {shlex.join(['python', *sys.argv])}")
        host.info(f"Environment info:\n{collect_env_info()}")


def write_evaluation_config(cfg: Any) -> None:
    """Writes ``config_evaluation_FRAMES.yaml``, beside the results that it is to explain.

    Raises:
        WriteError: the disk is full.
    """
    if comm.is_main_process():
        path = _evaluation_file(cfg, "config", "yaml")
        replace_atomically(path, lambda part: part.write_text(cfg.dump(), encoding="utf-8"))
        logger.info(f"Configuration of the evaluation: {path}")


def _evaluation_file(cfg: Any, kind: str, ending: str) -> Path:
    return Path(cfg.OUTPUT_DIR) / f"{kind}_{evaluation_label(cfg).replace(' ', '_')}.{ending}"


def _set_up_loggers(output: str) -> None:
    rank = comm.get_rank()
    setup_logger(output, distributed_rank=rank)
    # The host's log shows its own messages alone.
    setup_logger(output, distributed_rank=rank, name="xreid_plugin", abbrev_name="xreid")
