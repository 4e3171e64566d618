import pytest
import torch
from torch import nn

from xreid_plugin.modeling.clip_blocks import SelfAttention


@pytest.mark.parametrize("mode", ["train", "eval", "inference"])
def test_equals_torchs_own(mode):
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(12, 3, batch_first=True).train(mode == "train")
    nn.init.normal_(plain.in_proj_bias)
    nn.init.normal_(plain.out_proj.bias)
    tokens = torch.randn(4, 5, 12, requires_grad=mode != "inference")
    with torch.inference_mode(mode == "inference"):
        expected = plain(tokens, tokens, tokens, need_weights=False)[0]
        found, weights = SelfAttention(plain)(tokens, tokens, tokens, need_weights=False, attn_mask=None)
    assert weights is None
    torch.testing.assert_close(found, expected)
    if mode != "inference":
        direction = torch.randn_like(found)
        asked = [tokens, *plain.parameters()]
        for one, other in zip(
            torch.autograd.grad(found, asked, direction), torch.autograd.grad(expected, asked, direction), strict=True
        ):
            torch.testing.assert_close(one, other)


def test_parameters_are_those_of_the_original_by_the_same_names():
    plain = nn.MultiheadAttention(12, 3, batch_first=True)
    ours = dict(SelfAttention(plain).named_parameters())
    assert {name: id(value) for name, value in ours.items()} == {n: id(p) for n, p in plain.named_parameters()}
