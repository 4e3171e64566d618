from pathlib import Path

import pytest
import torch
from fastreid.engine.hooks import LayerFreeze
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.hooks import FreezeHook
from xreid_plugin.engine.optimizer import build_optimizer

ROOT = Path(__file__).parents[2]
BASELINES = ROOT / "configs/baselines"


def merged(path):
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    return cfg


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.yml")), ids=lambda path: path.stem)
def test_baselines_share_the_tasks_data_batch_and_length(path):
    task = merged(ROOT / "configs/Base-VVI.yml")
    cfg = merged(path)
    assert (cfg.DATALOADER, cfg.DATASETS, cfg.TEST) == (task.DATALOADER, task.DATASETS, task.TEST)
    assert (cfg.INPUT.SIZE_TRAIN, cfg.INPUT.CLIP, cfg.INPUT.REA) == ([288, 144], task.INPUT.CLIP, task.INPUT.REA)
    for key in ("IMS_PER_BATCH", "ITERS_PER_EPOCH", "MAX_EPOCH"):
        assert cfg.SOLVER[key] == task.SOLVER[key]
    assert cfg.MODEL.BACKBONE.PRETRAIN
    assert all(step < cfg.SOLVER.MAX_EPOCH for step in cfg.SOLVER.STEPS) or cfg.SOLVER.SCHED != "MultiStepLR"


@pytest.fixture(scope="module", params=["sbs_r50", "mgn_r50"])
def freezing(request):
    """A baseline that freezes layers and its configuration, and the same of the host; without values, to be quick."""
    cfg = merged(BASELINES / f"{request.param}.yml")
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.HEADS.NUM_CLASSES = 10
    host_cfg = cfg.clone()
    host_cfg.MODEL.META_ARCHITECTURE = cfg.MODEL.FRAME_BASELINE.META_ARCHITECTURE
    host_cfg.MODEL.FREEZE_LAYERS = [name.removeprefix("image_model.") for name in cfg.MODEL.FREEZE_LAYERS]
    with torch.device("meta"):
        model, host_model = (META_ARCH_REGISTRY.get(c.MODEL.META_ARCHITECTURE)(c) for c in (cfg, host_cfg))
    return cfg, model, host_cfg, host_model


def norms_in_training(model):
    """Names, as the host has them, of the batch norms that move their statistics."""
    return {
        name.removeprefix("image_model.").replace(".pool_layer.frame_pool", ".pool_layer")
        for name, module in model.named_modules()
        if hasattr(module, "running_mean") and module.training
    }


def test_batch_norms_are_frozen_as_the_hosts_hook_freezes_a_host_model(freezing):
    cfg, model, host_cfg, host_model = freezing
    cfg.SOLVER.FREEZE_ITERS = 2
    ours = FreezeHook(cfg, model, build_optimizer(cfg, model))
    hosts = LayerFreeze(host_model, host_cfg.MODEL.FREEZE_LAYERS, 2)
    before = norms_in_training(host_model)
    steps = []
    for step in range(4):
        for hook in (ours, hosts):
            hook.trainer = type("Trainer", (), {"iter": step})
            hook.before_step()
        assert norms_in_training(model) == norms_in_training(host_model)
        steps.append(norms_in_training(model))
    assert steps[0] == steps[1] < before == steps[2] == steps[3]
    # Those of the heads alone go on.
    assert all("head" in name for name in steps[0])
