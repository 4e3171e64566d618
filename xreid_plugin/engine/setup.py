"""Command line to a complete configuration: what the host's setup does, and what only the data can tell."""

import argparse
import logging
from pathlib import Path
from typing import NamedTuple

from fastreid.config import CfgNode
from fastreid.engine import default_setup
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from fastreid.utils.logger import setup_logger

from xreid_plugin.config import get_cfg
from xreid_plugin.config_files import ConfigError, read_yaml
from xreid_plugin.data.build import build_training_set
from xreid_plugin.engine.checkpoint import Checkpoint, read_checkpoint
from xreid_plugin.engine.config_checks import check_config
from xreid_plugin.engine.console import details_to_file
from xreid_plugin.engine.stored_config import adopt_stored_config
from xreid_plugin.torch_files import NOTE, noted_checkpoint

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
    """Reads, completes and checks the configuration, and runs the host's setup: log, environment, config.yaml.

    Args:
        args: of the host's ``default_argument_parser``.

    Raises:
        ValueError: unknown keys, and keys that contradict one another, each named with a value that works.
        OSError: a configuration, checkpoint or dataset that is not there.
    """
    cfg, checkpoint = read_config(args), None
    check_config(cfg)
    if args.eval_only:
        checkpoint = read_checkpoint(checkpoint_to_evaluate(cfg))
        cfg.MODEL.WEIGHTS = str(checkpoint.path)
        cfg.MODEL.BACKBONE.PRETRAIN = False
        adopt_checkpoint_facts(cfg, checkpoint)
    complete_config(cfg)
    if cfg.SEED < 0:
        former = comm.all_gather(_seed_before(cfg))[0] if args.resume else None
        cfg.SEED = comm.shared_random_seed() if former is None else former
    cfg.freeze()
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank())
    # The host's log shows its own messages alone.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="xreid_plugin", abbrev_name="xreid")
    with details_to_file():
        # The host would log the file from a handle that it leaves open; it logs the whole configuration anyway.
        default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": ""}))
    logger.info(f"Environment and configuration: {cfg.OUTPUT_DIR}/log.txt and config.yaml; seed {cfg.SEED}")
    seed_all_rng(cfg.SEED)
    return Prepared(cfg, checkpoint)


def _seed_before(cfg: CfgNode) -> int | None:
    """What the run that is resumed had drawn, and told in its config.yaml."""
    try:
        seed = read_yaml(Path(cfg.OUTPUT_DIR) / "config.yaml").keys["SEED"]
    except (OSError, ConfigError, LookupError):
        return None
    return seed if isinstance(seed, int) and seed >= 0 else None


def read_config(args: argparse.Namespace) -> CfgNode:
    """The configuration as the command line names it, not checked yet.

    Raises:
        ValueError: unknown keys, and values of another type.
        OSError: a configuration that is not there.
    """
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    return cfg


def complete_config(cfg: CfgNode) -> None:
    """Fills in what the training set tells: MODEL.HEADS.NUM_CLASSES if 0, and MODEL.BACKBONE.CAMERAS if empty."""
    wants_cameras = cfg.MODEL.BACKBONE.CAMERA_EMBEDDING and not cfg.MODEL.BACKBONE.CAMERAS
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
    """Takes the number of identities and the cameras from a checkpoint, where they shape its tensors.

    Raises:
        WeightFileError: it carries a configuration that cannot be read.
    """
    path, keys = checkpoint.path, ["MODEL.HEADS.NUM_CLASSES", "MODEL.BACKBONE.CAMERAS"]
    if "config" not in checkpoint.content:
        logger.info(f"{path} holds no configuration; identities and cameras are those of DATASETS.NAMES.")
        return
    adopt_stored_config(cfg, checkpoint.content["config"], path, keys)
