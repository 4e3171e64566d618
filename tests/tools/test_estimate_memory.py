"""What a step keeps is counted as a real step on the CPU keeps it."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.data.small_set import small_config
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS
from xreid_plugin.host import build_model

pytestmark = pytest.mark.skipif(
    torch.__version__ < "2.15" and not torch.cuda.is_available(), reason="torch 2.7 would abort without a GPU"
)


@pytest.fixture
def step_memory(load_tool):
    return load_tool("_step_memory").step_memory


@pytest.fixture
def cfg(tmp_path):
    cfg = small_config("no data is read", tmp_path, "MODEL.BACKBONE.CAMERAS", "[0]", "MODEL.HEADS.NUM_CLASSES", "4")
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def kept_by_a_real_step(cfg, clips):
    model = build_model(cfg).train()
    own = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor
        return tensor

    numbers = {key: torch.zeros(clips, dtype=torch.int64) for key in (TARGETS, CAMIDS, INDICES, MODALITIES)}
    images = torch.zeros(clips, cfg.INPUT.CLIP.FRAMES, 3, *cfg.INPUT.SIZE_TRAIN, dtype=torch.uint8)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = model({IMAGES: images, **numbers})
    assert losses
    return images.nbytes + sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_a_step_keeps_as_much_as_a_real_one(step_memory, cfg):
    # Attention's kernels keep somewhat different numbers on a CPU and on CUDA.
    assert step_memory(cfg, 8).kept == pytest.approx(kept_by_a_real_step(cfg, 8), rel=0.1)
    model = build_model(cfg)
    learnt = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    assert step_memory(cfg, 8).weights == held + 3 * learnt


def test_clips_count_in_proportion_half_precision_keeps_less_and_checkpointing_least(step_memory, cfg):
    one, two = (step_memory(cfg, clips).kept for clips in (8, 16))
    assert two == pytest.approx(2 * one, rel=0.1)
    cfg.SOLVER.AMP.ENABLED = True
    half = step_memory(cfg, 16).kept
    cfg.MODEL.BACKBONE.GRAD_CHECKPOINTING = True
    assert step_memory(cfg, 16).kept < half < two
