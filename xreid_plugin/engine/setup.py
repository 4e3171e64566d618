"""Command line to a complete configuration, and what only the data or a checkpoint can tell of it."""

import argparse
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastreid.config import CfgNode
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng

from xreid_plugin.checks import CLIP_BACKBONE, check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_dataset, build_training_set
from xreid_plugin.engine.checkpoints import Checkpoint, last_checkpoint, read_checkpoint, run_checkpoints
from xreid_plugin.engine.record import begin_log
from xreid_plugin.torch_files import WeightFileError

logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> tuple[CfgNode, Checkpoint | None]:
    """Reads, completes and checks the configuration, and begins the log.

    Training has the host's setup, with config.yaml; an evaluation writes nothing before its checkpoint is read.

    Args:
        args: of the host's ``default_argument_parser``.

    Returns:
        The configuration, frozen, and the checkpoint to be evaluated, None for training.

    Raises:
        ValueError: unknown keys, and keys that contradict one another, each named with a value that works; a
            checkpoint that is damaged.
        OSError: a configuration, checkpoint or dataset that is not there; OUTPUT_DIR is another training's.
    """
    cfg, checkpoint = read_config(args), None
    check_config(cfg, training=not args.eval_only)
    if args.eval_only:
        checkpoint = read_checkpoint(checkpoint_to_evaluate(cfg))
        cfg.MODEL.WEIGHTS = str(checkpoint.path)
        cfg.MODEL.BACKBONE.PRETRAIN = False
        adopt_checkpoint_facts(cfg, checkpoint)
    complete_config(cfg)
    if cfg.SEED < 0:
        of_ranks = comm.all_gather(_seed_of_run(Path(cfg.OUTPUT_DIR)) if args.resume else None)
        cfg.SEED = comm.shared_random_seed() if of_ranks[0] is None else of_ranks[0]
    cfg.freeze()
    # Now, as a start that fails for want of data leaves no folder behind.
    for name in (*cfg.DATASETS.TESTS, *(() if args.eval_only else cfg.DATASETS.NAMES)):
        build_dataset(cfg, name)
    if not args.eval_only and comm.is_main_process():
        lock_folder(Path(cfg.OUTPUT_DIR))
    begin_log(cfg, args)
    seed_all_rng(cfg.SEED)
    return cfg, checkpoint


def lock_folder(folder: Path) -> None:
    """Keeps other trainings out of OUTPUT_DIR for the life of this process; the system frees it if that is killed.

    Raises:
        BlockingIOError: another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Never closed: that would free it.
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        # Of the process alone: a loader's worker that outlives it would hold on to a lock of flock.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"Another training writes to OUTPUT_DIR {folder}: wait for its end, or give this one another."
        raise BlockingIOError(message) from error


def _seed_of_run(folder: Path) -> int | None:
    """What the run that is resumed had drawn."""
    for path in reversed(run_checkpoints(folder)):
        with suppress(WeightFileError):
            return int(read_checkpoint(path).config["SEED"])
    return None


def read_config(args: argparse.Namespace) -> CfgNode:
    """The configuration as the command line names it, by config_file and opts; not checked yet.

    Raises:
        ValueError: unknown keys, and values of another type.
        OSError: a configuration that is not there.
    """
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    return cfg


def embeds_cameras(cfg: CfgNode) -> bool:
    """Whether the model has an embedding of every camera: the CLIP tower alone can."""
    return bool(cfg.MODEL.BACKBONE.NAME == CLIP_BACKBONE and cfg.MODEL.BACKBONE.CAMERA_EMBEDDING)


def complete_config(cfg: CfgNode) -> None:
    """Fills in what the training set tells: MODEL.HEADS.NUM_CLASSES if 0, and MODEL.BACKBONE.CAMERAS if empty."""
    wants_cameras = embeds_cameras(cfg) and not cfg.MODEL.BACKBONE.CAMERAS
    if cfg.MODEL.HEADS.NUM_CLASSES and not wants_cameras:
        return
    dataset = build_training_set(cfg)
    if not cfg.MODEL.HEADS.NUM_CLASSES:
        cfg.MODEL.HEADS.NUM_CLASSES = dataset.num_train_pids
    if wants_cameras:
        cfg.MODEL.BACKBONE.CAMERAS = list(dataset.cameras)


def checkpoint_to_evaluate(cfg: CfgNode) -> Path:
    """MODEL.WEIGHTS, or else the last checkpoint in OUTPUT_DIR.

    Raises:
        FileNotFoundError: neither is there.
    """
    folder = Path(cfg.OUTPUT_DIR)
    path = Path(cfg.MODEL.WEIGHTS) if cfg.MODEL.WEIGHTS else last_checkpoint(folder)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path or folder}: give one with MODEL.WEIGHTS FILE, or train first.")
    return path


def adopt_checkpoint_facts(cfg: CfgNode, checkpoint: Checkpoint) -> None:
    """Takes from a checkpoint what shapes its tensors, identities and cameras, and the dataset that these are of.

    Raises:
        WeightFileError: it carries a configuration that cannot be read.
    """
    if "config" not in checkpoint.content:
        names = ", ".join(cfg.DATASETS.NAMES)
        logger.info(f"{checkpoint.path} holds no configuration; it is taken to be trained on {names}.")
    else:
        stored: Any = checkpoint.config
        cfg.MODEL.HEADS.NUM_CLASSES = stored.MODEL.HEADS.NUM_CLASSES
        cfg.MODEL.BACKBONE.CAMERAS = list(stored.MODEL.BACKBONE.CAMERAS)
        cfg.DATASETS.NAMES = tuple(stored.DATASETS.NAMES)
        # Nothing is drawn in an evaluation; its results tell the seed that the model is of.
        cfg.SEED = stored.SEED
    numbers = checkpoint.weights.get("backbone.camera_numbers")
    if numbers is not None:
        cfg.MODEL.BACKBONE.CAMERAS = numbers.tolist()


def epoch_length(cfg: CfgNode, host_length: int) -> int:
    """Iterations of an epoch: SOLVER.ITERS_PER_EPOCH, or the host's count if that is 0.

    Raises:
        ValueError: the host counts none, as there are fewer tracklets than a batch has clips.
    """
    length: int = cfg.SOLVER.ITERS_PER_EPOCH or host_length
    if length < 1:
        raise ValueError(
            "SOLVER.ITERS_PER_EPOCH is 0, for the training set's tracklets // SOLVER.IMS_PER_BATCH, but there are "
            f"fewer tracklets than the {cfg.SOLVER.IMS_PER_BATCH} clips of a batch; set the iterations, such as 100."
        )
    return length
