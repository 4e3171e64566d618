"""SII, LII and CII against loops written from the paper's equations, in float64."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from xreid_plugin.modeling.mii import (
    CrossAttentionBlock,
    CrossModalityInteraction,
    FirstPlaceBlock,
    LongTermInteraction,
    ShortTermInteraction,
    temporal_shift,
)

D, HEADS, L = 12, 3, 5


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def randomised(module, seed=0):
    """Fresh norms are the identity; random ones tell which norm was used where."""
    torch.manual_seed(seed)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def layer_norm(vector, norm):
    centred = vector - vector.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def gelu(x):
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def plain_cross_attention(block, query, context):
    """Block(q, Y) of one query vector, head by head; the values come from Y as it is."""
    attention = block.attention
    projected = attention.to_query.weight @ layer_norm(query, block.query_norm)
    width = len(query) // attention.num_heads
    heads = []
    for head in range(attention.num_heads):
        part = slice(head * width, (head + 1) * width)
        keys = [attention.to_key.weight @ layer_norm(token, block.context_norm) for token in context]
        scores = torch.stack([projected[part] @ key[part] / math.sqrt(width) for key in keys])
        weights = scores.exp() / scores.exp().sum()
        values = [(attention.to_value.weight @ token)[part] for token in context]
        heads.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
    hidden = query + attention.to_out.weight @ torch.cat(heads) + attention.to_out.bias
    inner = gelu(block.mlp[0].weight @ layer_norm(hidden, block.mlp_norm) + block.mlp[0].bias)
    return hidden + block.mlp[2].weight @ inner + block.mlp[2].bias


@pytest.mark.parametrize(("heads", "mlp_ratio"), [(1, 4.0), (3, 2.0), (12, 0.5)])
def test_the_cross_attention_block_is_its_formula_in_values_and_gradients(heads, mlp_ratio):
    block = randomised(CrossAttentionBlock(D, heads, mlp_ratio))
    queries, context = random(2, 3, D), random(2, L, D, seed=1).requires_grad_()
    result = block(queries, context)
    plain = torch.stack(
        [torch.stack([plain_cross_attention(block, query, rows) for query in queries[row]]) for row, rows in
         enumerate(context)]
    )  # fmt: skip
    assert_close(result, plain)
    weights = random(2, 3, D, seed=2)
    wanted = [context, *block.parameters()]
    ours, theirs = (torch.autograd.grad((out * weights).sum(), wanted) for out in (result, plain))
    assert_close(ours, theirs)


def source_of(frame, channel, frames, dim, stride):
    """Equation 5: which frame a channel comes from; at the ends the frame's own."""
    quarter = dim // 4
    wanted = frame - stride if channel < quarter else frame + stride if channel < 2 * quarter else frame
    return wanted if 0 <= wanted < frames else frame


@pytest.mark.parametrize(("frames", "stride"), [(1, 1), (2, 1), (4, 1), (5, 2), (5, 4), (4, 4), (3, 5)])
@pytest.mark.parametrize("dim", [8, 11, 3])
def test_shift_is_the_plain_loop_in_values_and_gradients(frames, stride, dim):
    given = random(2, frames, 3, dim).requires_grad_()
    untouched = given.detach().clone()
    shifted = temporal_shift(given, stride)
    assert torch.equal(given, untouched)
    plain = torch.stack(
        [
            torch.stack([given[:, source_of(t, c, frames, dim, stride), :, c] for c in range(dim)], dim=-1)
            for t in range(frames)
        ],
        dim=1,
    )
    assert torch.equal(shifted, plain)
    weights = random(*given.shape, seed=1)
    ours, theirs = (torch.autograd.grad((out * weights).sum(), given) for out in (shifted, plain))
    assert_close(ours, theirs)


@pytest.mark.parametrize(("frames", "stride", "depth"), [(4, 1, 1), (5, 2, 2), (1, 1, 1)])
@torch.no_grad()
def test_sii_is_equations_5_and_6(frames, stride, depth):
    interaction = randomised(ShortTermInteraction(D, HEADS, 4.0, stride, depth))
    assert len(interaction.blocks) == depth
    given = random(2, frames, 1 + L, D, seed=1)
    result = interaction(given)
    assert result.shape == (2, frames, D)
    for clip in range(2):
        for t in range(frames):
            patches = torch.stack(
                [given[clip, source_of(t, c, frames, D, stride), 1:, c] for c in range(D)], dim=-1
            )  # fmt: skip
            token = given[clip, t, 0]
            for block in interaction.blocks:
                token = plain_cross_attention(block, token, patches)
            assert_close(result[clip, t], token)


@pytest.mark.parametrize(("frames", "stride"), [(5, 2), (4, 1), (3, 0), (1, 2), (3, 5)])
@torch.no_grad()
def test_lii_is_equation_7(frames, stride):
    """The class token of frame t − S reads the patches of frame t, and the outcome is frame t − S's."""
    interaction = randomised(LongTermInteraction(D, HEADS, 4.0, stride))
    given = random(2, frames, 1 + L, D, seed=1)
    result = interaction(given)
    assert result.shape == (2, frames, D)
    for clip in range(2):
        for t in range(frames):
            earlier = (t - stride) % frames
            expected = plain_cross_attention(interaction.block, given[clip, earlier, 0], given[clip, t, 1:])
            assert_close(result[clip, earlier], expected)


def whole_block(block, tokens):
    """The self-attention block at all its places, with torch's own attention."""
    own = block.attention
    attention = nn.MultiheadAttention(D, HEADS, batch_first=True, dtype=torch.float64)
    attention.in_proj_weight = nn.Parameter(
        torch.cat([own.to_query.weight, own.to_key.weight, own.to_value.weight]).detach()
    )
    nn.init.zeros_(attention.in_proj_bias)
    attention.out_proj = own.to_out
    normed = block.norm(tokens)
    hidden = tokens + attention(normed, normed, normed)[0]
    return hidden + block.mlp(block.mlp_norm(hidden)), attention


def test_the_first_place_is_that_of_the_whole_block_in_values_and_gradients():
    block = randomised(FirstPlaceBlock(D, HEADS, 4.0))
    tokens = random(4, 1 + L, D, seed=1).requires_grad_()
    whole, attention = whole_block(block, tokens)
    assert_close(block(tokens), whole[:, 0])
    weights = random(4, D, seed=2)
    shared = [tokens, *block.norm.parameters(), *block.mlp_norm.parameters(), *block.mlp.parameters()]
    projections = [block.attention.to_query.weight, block.attention.to_key.weight, block.attention.to_value.weight]
    ours = torch.autograd.grad((block(tokens) * weights).sum(), [*shared, *projections])
    theirs = torch.autograd.grad((whole[:, 0] * weights).sum(), [*shared, attention.in_proj_weight])
    assert_close(ours[:-3], theirs[:-1])
    assert_close(torch.cat(ours[-3:]), theirs[-1])


@torch.no_grad()
def test_cii_reads_the_partner_frame_by_frame():
    """[ō ; patches of frame t of the partner] through a whole block; the first place, averaged over the frames."""
    clips, frames = 6, 3
    interaction = randomised(CrossModalityInteraction(D, HEADS, 4.0))
    sequence, tokens = random(clips, D, seed=1), random(clips, frames, 1 + L, D, seed=2)
    result = interaction(sequence, tokens)
    assert result.shape == (clips, D)
    for clip, partner in [(0, 3), (1, 4), (2, 5), (3, 0), (4, 1), (5, 2)]:
        outcomes = []
        for t in range(frames):
            given = torch.cat([sequence[clip : clip + 1], tokens[partner, t, 1:]])[None]
            outcomes.append(whole_block(interaction.block, given)[0][0, 0])
        assert_close(result[clip], sum(outcomes) / frames)


def test_cii_passes_gradient_to_the_sequence_and_to_the_partners_patches_alone():
    interaction = randomised(CrossModalityInteraction(D, HEADS, 4.0))
    sequence, tokens = random(4, D, seed=1).requires_grad_(), random(4, 2, 1 + L, D, seed=2).requires_grad_()
    interaction(sequence, tokens)[0].sum().backward()
    assert sequence.grad.any(1).tolist() == [True, False, False, False]
    assert tokens.grad.flatten(1).any(1).tolist() == [False, False, True, False]
    assert not tokens.grad[:, :, 0].any()
    assert all(parameter.grad is not None for parameter in interaction.parameters())
