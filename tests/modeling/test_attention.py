import pytest
import torch
from torch import nn
from torch.testing import assert_close

from xreid_plugin.modeling.attention import SelfAttention


@pytest.mark.parametrize("mode", ["train", "eval", "inference"])
def test_equals_torchs_own(mode):
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64).train(mode == "train")
    nn.init.normal_(plain.in_proj_bias)
    nn.init.normal_(plain.out_proj.bias)
    tokens = torch.randn(4, 5, 12, dtype=torch.float64, requires_grad=mode != "inference")
    ours = SelfAttention(plain)
    with torch.inference_mode(mode == "inference"):
        expected = plain(tokens, tokens, tokens, need_weights=False)[0]
        whole, weights = ours(tokens, tokens, tokens, need_weights=False, attn_mask=None)
        first = ours.of_first(tokens)
    assert weights is None
    assert_close(whole, expected)
    assert_close(first, expected[:, :1])
    if mode != "inference":
        asked, direction = [tokens, *plain.parameters()], torch.randn_like(expected)
        of_plain = torch.autograd.grad(expected, asked, direction, retain_graph=True)
        assert_close(torch.autograd.grad(whole, asked, direction), of_plain)
        of_plain = torch.autograd.grad(expected[:, :1], asked, direction[:, :1])
        assert_close(torch.autograd.grad(first, asked, direction[:, :1]), of_plain)
