"""A configuration for a trained model, from its checkpoint and without its data."""

from pathlib import Path

import torch
from fastreid.config import CfgNode

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.setup import adopt_checkpoint_facts
from xreid_plugin.engine.stored_config import adopt_stored_config
from xreid_plugin.torch_files import WeightFileError, load_checkpoint


def checkpoint_config(path: Path) -> CfgNode:
    """The configuration that a checkpoint carries, with MODEL.WEIGHTS set to the checkpoint.

    Args:
        path: of a checkpoint that a training run has saved.

    Raises:
        OSError: it is not there.
        ValueError: it is damaged, would run code, carries no configuration or one that cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"No checkpoint at {path}: give one that a training run has saved, such as model_final.pth."
        )
    checkpoint = load_checkpoint(path)
    if "config" not in checkpoint:
        raise WeightFileError(
            f"{path} carries no configuration: give the configuration that it was trained with, its MODEL.WEIGHTS set "
            "to the checkpoint."
        )
    cfg = get_cfg()
    adopt_stored_config(cfg, checkpoint["config"], path)
    cfg.MODEL.WEIGHTS = str(path)
    return cfg


def complete_for_inference(cfg: CfgNode, checkpoint: Path) -> None:
    """Sets, in place, what evaluation would take from the checkpoint or from the data, which is not needed here.

    Args:
        cfg: its MODEL.DEVICE is that of the inference.
        checkpoint: whose weights are to be loaded.

    Raises:
        OSError: it is not there.
        ValueError: it is damaged, or would run code.
    """
    adopt_checkpoint_facts(cfg, checkpoint)
    cfg.MODEL.WEIGHTS = str(checkpoint)
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.BACKBONE.UNSEEN_CAMERA = "none"
    if cfg.MODEL.BACKBONE.CAMERA_EMBEDDING and not cfg.MODEL.BACKBONE.CAMERAS:
        numbers = load_checkpoint(checkpoint)["model"].get("backbone.camera_numbers", torch.empty(0))
        cfg.MODEL.BACKBONE.CAMERAS = [int(number) for number in numbers]
    if not cfg.MODEL.HEADS.NUM_CLASSES:
        # Classifiers are built and not used.
        cfg.MODEL.HEADS.NUM_CLASSES = 1
    if cfg.MODEL.DEVICE == "cpu" and cfg.SOLVER.AMP.DTYPE == "float16":
        # The CPU's kernels lack float16.
        cfg.SOLVER.AMP.ENABLED = False
