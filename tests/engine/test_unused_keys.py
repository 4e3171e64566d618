import sys

import pytest
from fastreid.config import CfgNode
from fastreid.data.transforms.build import build_transforms

from tests.data.small_set import SMALL, small_config
from xreid_plugin.config import get_cfg
from xreid_plugin.config_merge import leaves
from xreid_plugin.engine.config_checks import config_faults
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.engine.unused_keys import unused_keys
from xreid_plugin.registry import LOSS_REGISTRY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.AUTOAUG.ENABLED", True),
        ("INPUT.PADDING.MODE", "reflect"),
        ("TEST.METRIC", "foo"),
        ("TEST.PRECISE_BN.ENABLED", True),
        ("KD.EMA.ENABLED", True),
        ("MODEL.BACKBONE.DEPTH", "18x"),
        ("MODEL.HEADS.NECK_FEAT", "after"),
        ("MODEL.LOSSES.CE.EPSILON", 0.1),
        ("MODEL.LOSSES.CIRCLE.GAMMA", 64),
    ],
)
def test_a_key_that_x_reid_does_not_read_is_refused_with_its_default(tmp_path, key, value):
    cfg = small_config(tmp_path, tmp_path, key, value)
    (fault,) = config_faults(cfg)
    assert (fault.key, fault.value, fault.works) == (key, value, dict(leaves(get_cfg()))[key])
    assert str(fault).startswith(f"{key} is {value!r}; XReID on clips does not use it")


def test_a_baseline_reads_the_hosts_heads_and_losses():
    cfg = get_cfg()
    cfg.merge_from_file("configs/baselines/sbs_r50.yml")
    cfg.merge_from_list(["MODEL.LOSSES.CE.EPSILON", 0.2, "MODEL.BACKBONE.DEPTH", "101x", "TEST.METRIC", "euclidean"])
    assert [fault.key for fault in config_faults(cfg)] == ["TEST.METRIC"]


def test_parts_of_the_users_own_may_read_what_they_like(tmp_path, monkeypatch):
    monkeypatch.setitem(LOSS_REGISTRY._obj_map, "FocalLoss", lambda cfg: None)
    overrides = ["MODEL.LOSSES.NAME", ("CPCL", "FocalLoss"), "MODEL.LOSSES.FL.GAMMA", 3]
    assert config_faults(small_config(tmp_path, tmp_path, *overrides)) == []


READ = set()


class Watched(CfgNode):
    """Notes its own keys as they are read, and stays what it is when it is copied."""

    def __getattr__(self, name):
        value = super().__getattr__(name)
        # The host makes augmentations of images beside ours, and drops them.
        is_dropped = sys._getframe(1).f_code is build_transforms.__code__
        if not isinstance(value, CfgNode) and not is_dropped:
            READ.add(f"{self.__dict__.get('prefix', '')}{name}")
        return value


def watched(cfg):
    """A copy that notes, in READ, the full dotted names of the keys that are read."""
    made = Watched(cfg)
    name_groups(made)
    return made


def name_groups(node, prefix=""):
    node.__dict__["prefix"] = prefix
    for key, value in node.items():
        if isinstance(value, CfgNode):
            name_groups(value, f"{prefix}{key}.")


ONE_STEP = [
    *("SOLVER.ITERS_PER_EPOCH", "1", "SOLVER.MAX_EPOCH", "1", "SOLVER.SCHED", "MultiStepLR", "MODEL.DEVICE", "cpu"),
    *("SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False", "MODEL.BACKBONE.PRETRAIN", "False"),
]


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("projects/XReID/configs/synthetic.yml", ["MODEL.BACKBONE.CLIP_MODEL", "xreid-tiny"]),
        # It is evaluated by the same code.
        ("configs/baselines/bot_r18.yml", ["TEST.EVAL_PERIOD", "0", "SOLVER.IMS_PER_BATCH", "8"]),
    ],
    ids=["XReID", "FrameBaseline"],
)
def test_no_run_reads_a_key_that_is_called_unused(small_set, tmp_path, recipe, overrides):
    cfg = get_cfg()
    cfg.merge_from_file(recipe)
    cfg.merge_from_list([*SMALL, *ONE_STEP, *overrides, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path)])
    names = unused_keys(cfg)
    READ.clear()
    XReIDTrainer(watched(cfg)).train()
    assert {"INPUT.CLIP.FRAMES", "MODEL.LOSSES.NAME", "MODEL.BACKBONE.PRETRAIN", "TEST.EVAL_PERIOD"} <= READ
    assert [key for key in READ for name in names if key == name or key.startswith(f"{name}.")] == []
