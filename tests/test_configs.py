"""Every configuration of the project: its keys, its model, and that the recipe is the method's."""

from pathlib import Path

import pytest
import torch
from fastreid.config import CfgNode

from xreid_plugin.checks import check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.host import build_model
from xreid_plugin.modeling.xreid import XReID

ROOT = Path(__file__).parents[1]
# CLIP-ReID's architecture and keys are a module's of their own; tests/projects tests them.
CONFIGS = sorted(
    path
    for path in [*ROOT.glob("configs/**/*.yml"), *ROOT.glob("projects/XReID/configs/**/*.yml")]
    if path.stem != "2_textual_prompts"
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def is_base(path):
    """A file that others build on names no model, neither itself nor through its own base."""
    return "META_ARCHITECTURE" not in CfgNode.load_yaml_with_base(str(path)).get("MODEL", {})


def merged(path):
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    return cfg


def built(cfg):
    """The model with what the trainer learns from the training set, and without numbers where the host lets it be."""
    # The host's transformer reads numbers of its own while it is built.
    cfg.MODEL.DEVICE = "cpu" if cfg.MODEL.BACKBONE.NAME == "build_vit_backbone" else "meta"
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.HEADS.NUM_CLASSES = 500
    cfg.MODEL.BACKBONE.CAMERAS = list(range(1, 13))
    with torch.device(cfg.MODEL.DEVICE):
        return build_model(cfg)


RUNNABLE = [path for path in CONFIGS if not is_base(path)]


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_every_key_is_known_and_nothing_contradicts(path):
    cfg = merged(path)
    if not is_base(path):
        check_config(cfg)
    # A batch is made of both modalities, each of identities with NUM_INSTANCE clips.
    assert cfg.SOLVER.IMS_PER_BATCH % (2 * cfg.DATALOADER.NUM_INSTANCE) == 0


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_every_model_builds(path):
    cfg = merged(path)
    model = built(cfg)
    assert any(parameter.requires_grad for parameter in model.parameters())
    if not isinstance(model, XReID):
        return
    assert model.backbone.num_cameras == (12 if cfg.MODEL.BACKBONE.CAMERA_EMBEDDING else 0)
    assert (model.prototypes is not None) == cfg.MODEL.CPC.ENABLED
    assert set(model.mii) == {part for part in ("sii", "lii", "cii") if cfg.MODEL.MII[part.upper()].ENABLED}


def test_runs_do_not_write_into_one_another():
    folders = [merged(path).OUTPUT_DIR for path in RUNNABLE]
    assert len(set(folders)) == len(folders)
