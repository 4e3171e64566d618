import pytest
import torch

from xreid_plugin.modeling.attention import CrossAttentionBlock
from xreid_plugin.visualization.attention_weights import attention_weights, recorded_weights

R, Q, M, D, HEADS = 3, 2, 7, 24, 4


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = CrossAttentionBlock(D, HEADS, 2.0)
    for norm in (block.query_norm, block.context_norm, block.mlp_norm):
        torch.nn.init.normal_(norm.weight, 1, 0.5)
        torch.nn.init.normal_(norm.bias)
    return block.eval()


def tokens():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(R, Q, D, generator=generator), 3 * torch.randn(R, M, D, generator=generator)


@torch.no_grad()
def test_the_weights_reproduce_the_blocks_output(block):
    queries, context = tokens()
    weights = attention_weights(block, queries, context)
    assert weights.shape == (R, HEADS, Q, M)
    values = block.to_value(context).unflatten(-1, (HEADS, -1)).transpose(1, 2)
    hidden = queries + block.to_out((weights @ values).transpose(1, 2).flatten(2))
    assert torch.allclose(hidden + block.mlp(block.mlp_norm(hidden)), block(queries, context), atol=1e-5)


@torch.no_grad()
def test_the_weights_are_shares(block):
    weights = attention_weights(block, *tokens())
    assert torch.allclose(weights.sum(-1), torch.ones(R, HEADS, Q))
    # Not even ones, or nothing would have been tested.
    assert weights.max() > 2 / M


@torch.no_grad()
def test_calls_are_recorded_by_part_and_in_order(block):
    queries, context = tokens()
    parts = {"first": torch.nn.ModuleList([block]), "never": CrossAttentionBlock(D, HEADS, 1.0)}
    plain = block(queries, context)
    with recorded_weights(parts) as found:
        assert torch.equal(block(queries, context), plain)
        block(queries, context.flip(1))
    assert found["never"] == []
    assert torch.equal(found["first"][0], attention_weights(block, queries, context))
    assert torch.allclose(found["first"][1], found["first"][0].flip(-1), atol=1e-6)


def test_nothing_stays_behind(block):
    with pytest.raises(RuntimeError, match="normalized_shape"), recorded_weights({"block": block}) as found:
        block(torch.zeros(1, 1, D), torch.zeros(1, 1, D + 1))
    block(*tokens())
    assert found["block"] == []
    assert not block._forward_pre_hooks


def test_no_gradient_goes_through_the_record(block):
    with recorded_weights({"block": block}) as found:
        out = block(*tokens())
    assert out.requires_grad
    assert not found["block"][0].requires_grad
