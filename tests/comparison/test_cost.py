import pytest
import torch
from torch import nn

from tests.data.small_set import small_config
from xreid_plugin.comparison.cost import cost_of_run, flops_of, random_clips
from xreid_plugin.host import build_model


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    cfg = small_config("no data is read", tmp_path_factory.mktemp("cost"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.HEADS.NUM_CLASSES = 4
    cfg.MODEL.BACKBONE.CAMERAS = [3, 5]
    cfg.TEST.IMS_PER_BATCH = 2
    return cfg


def test_flops_of_known_layers():
    # 5 rows × 3 inputs × 4 outputs, a multiplication and an addition each.
    assert flops_of(nn.Linear(3, 4), torch.zeros(5, 3)) == 2 * 5 * 3 * 4
    # 4 × 4 places × 3 × 3 window × 2 inputs × 6 outputs.
    assert flops_of(nn.Conv2d(2, 6, 3), torch.zeros(1, 2, 6, 6)) == 2 * 4 * 4 * 3 * 3 * 2 * 6


class SelfAttention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


def test_flops_of_attention_which_torch_fuses_in_eval_mode():
    clips, tokens, width = 3, 5, 16
    layer = SelfAttention(width, num_heads=2, batch_first=True).eval()
    projections = clips * tokens * width * 4 * width
    products = 2 * clips * tokens * tokens * width
    assert flops_of(layer, torch.zeros(clips, tokens, width)) == 2 * (projections + products)
    assert torch.backends.mha.get_fastpath_enabled()


def test_measured_once_then_read(cfg, tmp_path):
    (tmp_path / "config.yaml").write_text(cfg.dump())
    first = cost_of_run(tmp_path)
    assert first.parameters == sum(parameter.numel() for parameter in build_model(cfg).parameters())
    assert first.clips_per_second > 0
    # A second measurement would find another speed.
    assert cost_of_run(tmp_path) == first
    model = build_model(cfg).eval()
    assert flops_of(model, random_clips(cfg, 3)) == 3 * first.flops_per_clip > 0
