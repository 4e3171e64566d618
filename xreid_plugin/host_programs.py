"""The host's own programs on tracklets: with one more line, ``import xreid_plugin``, its tools/train_net.py works.

Its ``get_cfg`` then knows the plugin's keys, and the class methods by which its ``DefaultTrainer`` builds and tests do
the plugin's work wherever a configuration is about clips; configurations of images go on as before. The loop, its
checkpoints and its writers are the host's: a run goes on after a whole epoch, and what the plugin's own trainer does
for signals, interruptions and bad losses is not there.
"""

import functools
from collections.abc import Callable
from typing import Any

from fastreid.config import CfgNode
from fastreid.engine import DefaultTrainer, hooks
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from fastreid.utils.logger import setup_logger

from xreid_plugin.config import DEFAULTS, add_xreid_config
from xreid_plugin.data.datasets.base import tracklet_dataset

CLIP_MODELS = ("XReID", "FrameBaseline")

_hosts_hooks = DefaultTrainer.build_hooks


def join() -> None:
    """Adds the keys and binds the functions below. Runs once, at the first ``import xreid_plugin``."""
    add_xreid_config(DEFAULTS)
    for name in ("build_train_loader", "build_model", "build_optimizer", "build_lr_scheduler", "test"):
        setattr(DefaultTrainer, name, classmethod(_of_clips(name)))
    DefaultTrainer.build_hooks = build_hooks


def is_about_clips(cfg: CfgNode) -> bool:
    """Whether a model of clips is asked for, or a dataset of tracklets for training or test."""
    names = (*cfg.DATASETS.NAMES, *cfg.DATASETS.TESTS)
    return cfg.MODEL.META_ARCHITECTURE in CLIP_MODELS or any(map(tracklet_dataset, names))


def _of_clips(name: str) -> Callable[..., Any]:
    """A class method of ``DefaultTrainer`` that does the same as the plugin's trainer where ``cfg`` is about clips."""
    hosts = getattr(DefaultTrainer, name).__func__

    @functools.wraps(hosts)
    def method(cls: Any, cfg: CfgNode, *args: Any, **kwargs: Any) -> Any:
        if not is_about_clips(cfg):
            return hosts(cls, cfg, *args, **kwargs)
        # The host's own logger shows the host's messages alone.
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="xreid_plugin", abbrev_name="xreid")
        # On first use: the engine imports what few users of the package need.
        from xreid_plugin.checks import check_config
        from xreid_plugin.engine.trainer import XReIDTrainer

        if name == "build_train_loader":
            # What the plugin's own program does before it makes a trainer.
            check_config(cfg)
            seed_all_rng(cfg.SEED)
        else:
            cfg = _complete(cfg)
        return getattr(XReIDTrainer, name)(cfg, *args, **kwargs)

    return method


def _complete(cfg: CfgNode) -> CfgNode:
    """A copy with what only the checkpoint that is to be evaluated can tell, or else the training set."""
    from xreid_plugin.engine.checkpoints import read_checkpoint
    from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate, complete_config

    cfg = cfg.clone()
    cfg.defrost()
    # In a training the host has counted the identities before it builds a model.
    if cfg.MODEL.WEIGHTS and not cfg.MODEL.HEADS.NUM_CLASSES:
        adopt_checkpoint_facts(cfg, read_checkpoint(checkpoint_to_evaluate(cfg)))
    complete_config(cfg)
    return cfg


def build_hooks(trainer: DefaultTrainer) -> list[HookBase]:
    """Replaces ``DefaultTrainer.build_hooks``: prototypes are refreshed and updated, and layers frozen at any depth."""
    if not is_about_clips(trainer.cfg):
        hosts: list[HookBase] = _hosts_hooks(trainer)
        return hosts
    from xreid_plugin.engine.hooks import hooks_of_clips
    from xreid_plugin.engine.setup import epoch_length

    trainer.iters_per_epoch = epoch_length(trainer.cfg, trainer.iters_per_epoch)
    trainer.max_iter = trainer.max_epoch * trainer.iters_per_epoch
    first, *others = [hook for hook in _hosts_hooks(trainer) if not isinstance(hook, hooks.LayerFreeze)]
    return [first, *hooks_of_clips(trainer.cfg, trainer.checkpointer.model, trainer.optimizer), *others]
