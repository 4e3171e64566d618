"""Command line to a complete configuration: what the host's setup does, and what only the data can tell."""

import argparse
import logging
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
import yaml
from fastreid.config import CfgNode
from fastreid.engine import default_setup
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from fastreid.utils.logger import setup_logger

from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_training_set
from xreid_plugin.engine.console import details_to_file
from xreid_plugin.evaluation.rules import RankingRules
from xreid_plugin.host import resolve_device
from xreid_plugin.modeling.prototypes import UPDATES
from xreid_plugin.registry import SAMPLER_REGISTRY

logger = logging.getLogger(__name__)

ABOVE_ZERO = ("MODEL.CPC.TEMPERATURE", "MODEL.LOSSES.CMCL.TEMPERATURE", "SOLVER.BASE_LR")
ONE_OF = {
    "TEST.FRAMES": ("even", "dense"),
    "MODEL.BACKBONE.UNSEEN_CAMERA": ("error", "none"),
    "MODEL.CPC.UPDATE": UPDATES,
    "INPUT.REA.PER": ("frame", "clip"),
    "SOLVER.AMP.DTYPE": ("bfloat16", "float16"),
}
AT_LEAST_ONE = (
    "MODEL.CPC.REFRESH_EPOCHS",
    "MODEL.MII.SII.STRIDE",
    "MODEL.MII.SII.DEPTH",
    "MODEL.MII.LII.STRIDE",
    "INPUT.CLIP.FRAMES",
    "DATALOADER.NUM_INSTANCE",
    "SOLVER.LOG_PERIOD",
    "SOLVER.MAX_EPOCH",
    "SOLVER.CHECKPOINT_PERIOD",
)


def setup(args: argparse.Namespace) -> CfgNode:
    """Reads, completes and checks the configuration, and runs the host's setup: log, environment, config.yaml.

    Args:
        args: of the host's ``default_argument_parser``.

    Returns:
        A frozen configuration.

    Raises:
        ValueError: keys that contradict one another, each named with a value that works.
        FileNotFoundError: a configuration, checkpoint or dataset that is not there.
    """
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    check_config(cfg)
    if args.eval_only:
        cfg.MODEL.WEIGHTS = str(checkpoint_to_evaluate(cfg))
        cfg.MODEL.BACKBONE.PRETRAIN = False
        adopt_checkpoint_facts(cfg, Path(cfg.MODEL.WEIGHTS))
    complete_config(cfg)
    if cfg.SEED < 0:
        cfg.SEED = comm.shared_random_seed()
    cfg.freeze()
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank())
    # The host's log shows its own messages alone.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="xreid_plugin", abbrev_name="xreid")
    with details_to_file():
        # The host would log the file from a handle that it leaves open; it logs the whole configuration anyway.
        default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": ""}))
    logger.info(f"Environment and configuration: {cfg.OUTPUT_DIR}/log.txt and config.yaml; seed {cfg.SEED}")
    seed_all_rng(cfg.SEED)
    return cfg


def check_config(cfg: CfgNode) -> None:
    """Finds contradictions before any data is read.

    Raises:
        ValueError: names the key and a value that works.
    """
    if tuple(cfg.INPUT.SIZE_TRAIN) != tuple(cfg.INPUT.SIZE_TEST):
        raise ValueError(
            f"INPUT.SIZE_TEST is {list(cfg.INPUT.SIZE_TEST)}, but the tower is built for INPUT.SIZE_TRAIN, "
            f"{list(cfg.INPUT.SIZE_TRAIN)}: set both alike."
        )
    RankingRules.from_config(cfg)
    # Asked for now, since a sampler may be registered after this module is imported.
    samplers = tuple(sorted(SAMPLER_REGISTRY._obj_map))
    for key, known in {**ONE_OF, "DATALOADER.SAMPLER_TRAIN": samplers}.items():
        if attrgetter(key)(cfg) not in known:
            raise ValueError(f'{key} is "{attrgetter(key)(cfg)}"; it must be one of {", ".join(known)}.')
    _check_pairs(cfg)
    for key in ABOVE_ZERO:
        if attrgetter(key)(cfg) <= 0:
            raise ValueError(f"{key} is {attrgetter(key)(cfg)}; it must be above 0.")
    for key in AT_LEAST_ONE:
        if attrgetter(key)(cfg) < 1:
            raise ValueError(f"{key} is {attrgetter(key)(cfg)}; it must be at least 1.")
    if cfg.SOLVER.ITERS_PER_EPOCH < 0:
        raise ValueError(f"SOLVER.ITERS_PER_EPOCH is {cfg.SOLVER.ITERS_PER_EPOCH}; it must be 0 or more, such as 300.")
    on_cpu = resolve_device(cfg.MODEL.DEVICE).type == "cpu"
    if cfg.SOLVER.AMP.ENABLED and cfg.SOLVER.AMP.DTYPE == "float16" and on_cpu:
        raise ValueError('SOLVER.AMP.DTYPE is "float16", which needs CUDA; on the CPU set it to "bfloat16".')


def _check_pairs(cfg: CfgNode) -> None:
    if cfg.MODEL.META_ARCHITECTURE != "XReID" or not cfg.MODEL.MII.CII.ENABLED:
        return
    sampler = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)
    if not getattr(sampler, "pairs", False):
        raise ValueError(
            f"DATALOADER.SAMPLER_TRAIN is {sampler.__name__}, whose clips have no partners for MODEL.MII.CII: take "
            "CrossModalityIdentitySampler, or set MODEL.MII.CII.ENABLED False and drop CMCL from MODEL.LOSSES.NAME."
        )


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
        note = Path(cfg.OUTPUT_DIR) / "last_checkpoint"
        path = note.with_name(note.read_text().strip()) if note.is_file() else note
    if not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path}: give one with MODEL.WEIGHTS FILE, or train first.")
    return path


def adopt_checkpoint_facts(cfg: CfgNode, path: Path) -> None:
    """Takes the number of identities and the cameras from a checkpoint, where they shape its tensors."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if "config" not in checkpoint:
        logger.info(f"{path} holds no configuration; identities and cameras are those of DATASETS.NAMES.")
        return
    trained = yaml.safe_load(checkpoint["config"])["MODEL"]
    cfg.MODEL.HEADS.NUM_CLASSES = trained["HEADS"]["NUM_CLASSES"]
    cfg.MODEL.BACKBONE.CAMERAS = trained["BACKBONE"]["CAMERAS"]
