"""The host's own programs on tracklets: with one more line, ``import xreid_plugin``, its tools/train_net.py works.

Its ``get_cfg`` then knows the plugin's keys, and its ``DefaultTrainer`` is the plugin's trainer wherever a
configuration is about clips; configurations of images go on as before.
"""

from typing import Any

import torch
from fastreid.config import CfgNode
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.engine import DefaultTrainer
from fastreid.utils import comm
from fastreid.utils.logger import setup_logger

from xreid_plugin.config import DEFAULTS, add_xreid_config
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset

CLIP_MODELS = ("XReID", "FrameBaseline")

_build_model = DefaultTrainer.build_model.__func__
_test = DefaultTrainer.test.__func__
_build_train_loader = DefaultTrainer.build_train_loader.__func__
_build_test_loader = DefaultTrainer.build_test_loader.__func__


def join() -> None:
    """Adds the keys and binds the functions below. Runs once, at the first ``import xreid_plugin``."""
    add_xreid_config(DEFAULTS)
    DefaultTrainer.__new__ = staticmethod(new_trainer)
    for function in (build_model, test, build_train_loader, build_test_loader):
        setattr(DefaultTrainer, function.__name__, classmethod(function))


def is_about_clips(cfg: CfgNode) -> bool:
    """Whether a model of clips is asked for, or a dataset of tracklets for training or test."""
    names = (*cfg.DATASETS.NAMES, *cfg.DATASETS.TESTS)
    return cfg.MODEL.META_ARCHITECTURE in CLIP_MODELS or any(map(_has_tracklets, names))


def new_trainer(cls: type, *args: Any, **kwargs: Any) -> object:
    """``DefaultTrainer(cfg)`` makes the plugin's trainer where ``cfg`` is about clips; subclasses stay what they are.

    What ``tools/train_net.py`` of the plugin does before it makes a trainer is done here: the configuration is checked,
    and the plugin's log lines are shown.

    Raises:
        ValueError: keys that contradict one another.
    """
    cfg = kwargs.get("cfg", args[0] if args else None)
    if cls is not DefaultTrainer or not isinstance(cfg, CfgNode) or not is_about_clips(cfg):
        return object.__new__(cls)
    # Both are imported on first use: the engine imports what few users of the package need.
    from xreid_plugin.checks import check_config
    from xreid_plugin.engine.trainer import XReIDTrainer

    check_config(cfg)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="xreid_plugin", abbrev_name="xreid")
    return object.__new__(XReIDTrainer)


def build_model(cls: Any, cfg: CfgNode) -> torch.nn.Module:
    """Replaces ``DefaultTrainer.build_model``, as a model of clips needs facts from data or checkpoint."""
    if cls is not DefaultTrainer or not is_about_clips(cfg):
        model: torch.nn.Module = _build_model(cls, cfg)
        return model
    from xreid_plugin.engine.setup import complete_config
    from xreid_plugin.engine.trainer import XReIDTrainer

    cfg = _with_checkpoint_facts(cfg)
    complete_config(cfg)
    return XReIDTrainer.build_model(cfg)


def _with_checkpoint_facts(cfg: CfgNode) -> CfgNode:
    from xreid_plugin.engine.checkpoint import read_checkpoint
    from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate

    cfg = cfg.clone()
    cfg.defrost()
    if cfg.MODEL.WEIGHTS:
        adopt_checkpoint_facts(cfg, read_checkpoint(checkpoint_to_evaluate(cfg)))
    return cfg


def test(cls: Any, cfg: CfgNode, model: torch.nn.Module) -> dict[str, Any]:
    """Replaces ``DefaultTrainer.test``, which knows only one direction."""
    if cls is not DefaultTrainer or not is_about_clips(cfg):
        figures: dict[str, Any] = _test(cls, cfg, model)
        return figures
    from xreid_plugin.engine.trainer import XReIDTrainer

    return XReIDTrainer.test(_with_checkpoint_facts(cfg), model)


def build_train_loader(cls: Any, cfg: CfgNode) -> Any:
    """Replaces ``DefaultTrainer.build_train_loader``, which would take a tracklet for an image.

    Raises:
        ValueError: a dataset of tracklets, in a trainer that is derived from the host's and not from the plugin's.
    """
    _refuse_tracklets(cls, cfg.DATASETS.NAMES)
    return _build_train_loader(cls, cfg)


def build_test_loader(cls: Any, cfg: CfgNode, dataset_name: str) -> Any:
    """Replaces ``DefaultTrainer.build_test_loader``, for the same reason.

    Raises:
        ValueError: as in training.
    """
    _refuse_tracklets(cls, (dataset_name,))
    return _build_test_loader(cls, cfg, dataset_name)


def _refuse_tracklets(cls: type, names: tuple[str, ...]) -> None:
    for name in filter(_has_tracklets, names):
        raise ValueError(
            f"{name} has tracklets, and {cls.__name__} loads images: derive it from XReIDTrainer of "
            "xreid_plugin.engine.trainer instead of DefaultTrainer."
        )


def _has_tracklets(name: str) -> bool:
    kind = DATASET_REGISTRY._obj_map.get(name)
    return isinstance(kind, type) and issubclass(kind, VideoCrossModalityDataset)
