"""The folder of a small run that has really been trained, once for all tests that look at one."""

import functools

import pytest
from fastreid.utils.collect_env import collect_env_info

from tests.data.small_set import small_config
from xreid_plugin.engine.trainer import XReIDTrainer


@pytest.fixture(scope="session")
def small_run(small_set):
    return _trained(small_set)


@functools.cache
def _trained(root):
    folder = root.parent / "small-run"
    features = str(folder / "features.npz")
    cfg = small_config(root, folder, "MODEL.BACKBONE.CLIP_MODEL", "xreid-tiny", "TEST.SAVE_FEATURES", features)
    (folder / "config.yaml").write_text(cfg.dump())
    (folder / "log.txt").write_text(f"[01/01 00:00:00] fastreid INFO: Environment info:\n{collect_env_info()}\n")
    XReIDTrainer(cfg).train()
    return folder
