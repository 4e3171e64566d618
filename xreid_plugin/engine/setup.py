"""Command line to a complete configuration: what the host's setup does, and what only the data can tell."""

import argparse
import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fastreid.config import CfgNode
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng

from xreid_plugin.checks import CLIP_BACKBONE, check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_training_set
from xreid_plugin.engine.checkpoint import Checkpoint, read_checkpoint
from xreid_plugin.engine.run_checkpoints import run_checkpoints
from xreid_plugin.engine.run_record import CONFIG_FILE, begin_evaluation_log, begin_training_log
from xreid_plugin.engine.stored_config import adopt_stored_config
from xreid_plugin.host.configuration import read_yaml
from xreid_plugin.torch_files import NOTE, WeightFileError, noted_checkpoint

logger = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What a job starts from.

    Attributes:
        cfg: frozen.
        checkpoint: to be evaluated; None for training.
    """

    cfg: CfgNode
    checkpoint: Checkpoint | None


def setup(args: argparse.Namespace) -> Prepared:
    """Reads, completes and checks the configuration, and begins the log.

    Training has the host's setup, with config.yaml; an evaluation writes nothing before its checkpoint is read.

    Args:
        args: of the host's ``default_argument_parser``.

    Raises:
        ValueError: unknown keys, and keys that contradict one another, each named with a value that works; a
            checkpoint that is damaged.
        OSError: a configuration, checkpoint or dataset that is not there.
    """
    training = not args.eval_only
    cfg, checkpoint = read_config(args), None
    check_config(cfg, training)
    if args.eval_only:
        checkpoint = read_checkpoint(checkpoint_to_evaluate(cfg))
        cfg.MODEL.WEIGHTS = str(checkpoint.path)
        cfg.MODEL.BACKBONE.PRETRAIN = False
        adopt_checkpoint_facts(cfg, checkpoint)
    complete_config(cfg)
    if cfg.SEED < 0:
        of_ranks = comm.all_gather(_seed_before(cfg) if args.resume and comm.is_main_process() else None)
        cfg.SEED = comm.shared_random_seed() if of_ranks[0] is None else of_ranks[0]
    cfg.freeze()
    if args.eval_only:
        begin_evaluation_log(cfg)
    else:
        begin_training_log(cfg, args)
    seed_all_rng(cfg.SEED)
    return Prepared(cfg, checkpoint)


def _seed_before(cfg: CfgNode) -> int | None:
    """What the run that is resumed had drawn: its checkpoints tell, or config.yaml where it has saved none yet."""
    folder, stored = Path(cfg.OUTPUT_DIR), get_cfg()
    with suppress(OSError, WeightFileError):
        for path in reversed(run_checkpoints(folder)):
            with suppress(OSError, WeightFileError, LookupError):
                adopt_stored_config(stored, read_checkpoint(path).content["config"], path, ["SEED"])
                return int(stored.SEED)
    with suppress(OSError, ValueError, LookupError):
        stored.merge_from_list(["SEED", read_yaml(folder / CONFIG_FILE)["SEED"]])
        return int(stored.SEED) if stored.SEED >= 0 else None
    return None


def read_config(args: argparse.Namespace) -> CfgNode:
    """The configuration as the command line names it, not checked yet.

    Args:
        args: with config_file and opts.

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
    if cfg.MODEL.WEIGHTS:
        path = Path(cfg.MODEL.WEIGHTS)
    else:
        note = Path(cfg.OUTPUT_DIR) / NOTE
        path = noted_checkpoint(note.parent) if note.is_file() else note
    if not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path}: give one with MODEL.WEIGHTS FILE, or train first.")
    return path


def adopt_checkpoint_facts(cfg: CfgNode, checkpoint: Checkpoint) -> None:
    """Takes from a checkpoint what shapes its tensors, identities and cameras, and the dataset that these are of.

    Raises:
        WeightFileError: it carries a configuration that cannot be read.
    """
    path, keys = checkpoint.path, ["MODEL.HEADS.NUM_CLASSES", "MODEL.BACKBONE.CAMERAS", "DATASETS.NAMES"]
    if "config" not in checkpoint.content:
        logger.info(f"{path} holds no configuration; it is taken to be trained on {', '.join(cfg.DATASETS.NAMES)}.")
    else:
        adopt_stored_config(cfg, checkpoint.content["config"], path, keys)
    numbers = checkpoint.weights.get("backbone.camera_numbers")
    if numbers is not None and numbers.ndim == 1:
        cfg.MODEL.BACKBONE.CAMERAS = [int(number) for number in numbers]
