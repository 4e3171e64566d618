import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xreid_plugin.modeling.attention import CrossAttentionBlock


def make_block(dim=12, heads=3, mlp_ratio=4.0):
    torch.manual_seed(0)
    block = CrossAttentionBlock(dim, heads, mlp_ratio).double()
    # Fresh norms are the identity; random ones tell which norm was used where.
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return block


def tokens(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer_norm(vector, norm):
    centred = vector - vector.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def gelu(x):
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def plain_block(block, query, context):
    """Block(q, Y) of method.md for one query vector, head by head: the values come from Y as it is."""
    projected_query = block.to_query.weight @ layer_norm(query, block.query_norm) + block.to_query.bias
    width = len(query) // block.num_heads
    heads = []
    for head in range(block.num_heads):
        part = slice(head * width, (head + 1) * width)
        scores, values = [], []
        for token in context:
            key = block.to_key.weight @ layer_norm(token, block.context_norm) + block.to_key.bias
            scores.append(projected_query[part] @ key[part] / math.sqrt(width))
            values.append((block.to_value.weight @ token + block.to_value.bias)[part])
        weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
        heads.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
    hidden = query + block.to_out.weight @ torch.cat(heads) + block.to_out.bias
    inner = gelu(block.mlp[0].weight @ layer_norm(hidden, block.mlp_norm) + block.mlp[0].bias)
    return hidden + block.mlp[2].weight @ inner + block.mlp[2].bias


@pytest.mark.parametrize(("heads", "mlp_ratio"), [(1, 4.0), (3, 2.0), (12, 0.5)])
@torch.no_grad()
def test_it_is_the_formula(heads, mlp_ratio):
    block = make_block(heads=heads, mlp_ratio=mlp_ratio)
    queries, context = tokens(2, 3, 12), tokens(2, 5, 12, seed=2)
    result = block(queries, context)
    assert result.shape == (2, 3, 12)
    for row in range(2):
        for query in range(3):
            assert_close(result[row, query], plain_block(block, queries[row, query], context[row]))


@torch.no_grad()
def test_values_are_not_normalised():
    block = make_block()
    queries, context = tokens(1, 1, 12), tokens(1, 4, 12, seed=2)
    # Affine changes of a token leave its norm, hence the keys and the weights, as they were.
    doubled = 2 * context
    with_zero_values = make_block()
    with_zero_values.to_value.weight.zero_()
    eps_slack = {"atol": 1e-3, "rtol": 1e-3}
    assert_close(with_zero_values(queries, doubled), with_zero_values(queries, context), **eps_slack)
    assert not torch.allclose(block(queries, doubled), block(queries, context), atol=1e-2)


@torch.no_grad()
def test_order_of_the_context_does_not_count_and_rows_do_not_mix():
    block = make_block()
    queries, context = tokens(3, 2, 12), tokens(3, 5, 12, seed=2)
    result = block(queries, context)
    assert_close(block(queries, context[:, [4, 2, 0, 1, 3]]), result)
    assert_close(block(queries[1:2], context[1:2]), result[1:2])


def test_every_parameter_learns():
    block = make_block()
    block(tokens(2, 3, 12), tokens(2, 5, 12, seed=2)).square().sum().backward()
    # What all keys have in common shifts a query's scores alike, which softmax ignores.
    silent = {name for name, parameter in block.named_parameters() if parameter.grad.abs().max() < 1e-9}
    assert silent == {"context_norm.bias", "to_key.bias"}


def test_gradient_is_right():
    block = make_block(dim=4, heads=2)
    inputs = tokens(1, 2, 4).requires_grad_(), tokens(1, 3, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(block, inputs)


@pytest.mark.parametrize(("dim", "heads"), [(12, 5), (128, 12)])
def test_heads_that_do_not_divide_the_width(dim, heads):
    with pytest.raises(ValueError, match=rf"MODEL\.MII\.HEADS is {heads}.*{dim}"):
        CrossAttentionBlock(dim, heads, 4.0)


def test_mlp_ratio_and_activation():
    block = CrossAttentionBlock(8, 2, 4.0)
    assert [tuple(layer.weight.shape) for layer in (block.mlp[0], block.mlp[2])] == [(32, 8), (8, 32)]
    assert_close(block.mlp[1](torch.linspace(-3, 3, 7)), F.gelu(torch.linspace(-3, 3, 7)))
