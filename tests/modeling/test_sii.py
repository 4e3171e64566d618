import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.modeling.sii import ShortTermInteraction, temporal_shift


def tokens(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def source_of(frame, channel, frames, dim, stride):
    """Which frame a channel comes from."""
    quarter = dim // 4
    if channel < quarter:
        wanted = frame - stride
    elif channel < 2 * quarter:
        wanted = frame + stride
    else:
        wanted = frame
    return wanted if 0 <= wanted < frames else frame


@pytest.mark.parametrize("stride", range(1, 6))
@pytest.mark.parametrize("frames", range(1, 9))
@pytest.mark.parametrize("dim", [8, 11, 3])
def test_shift_is_the_plain_loop(frames, stride, dim):
    given = tokens(2, frames, 3, dim)
    untouched = given.clone()
    shifted = temporal_shift(given, stride)
    assert torch.equal(given, untouched)
    assert shifted.shape == given.shape
    expected = torch.empty_like(given)
    for frame in range(frames):
        for channel in range(dim):
            expected[:, frame, :, channel] = given[:, source_of(frame, channel, frames, dim, stride), :, channel]
    assert torch.equal(shifted, expected)


def test_frames_do_not_all_become_the_first():
    # The public code shifts in place: with a stride of 1 it reads what it has just written.
    numbers = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 1, 4)
    shifted = temporal_shift(numbers, 1)[0, :, 0]
    assert shifted[:, 0].tolist() == [0, 0, 1, 2, 3, 4]
    assert shifted[:, 1].tolist() == [1, 2, 3, 4, 5, 5]
    assert shifted[:, 2].tolist() == shifted[:, 3].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("frames", "stride"), [(1, 1), (4, 1), (5, 2), (5, 4), (4, 4), (3, 5)])
def test_gradient_flows_to_the_frame_that_a_channel_came_from(frames, stride):
    dim = 8
    for frame in range(frames):
        for channel in (0, 3, 6):
            given = tokens(1, frames, 2, dim).requires_grad_()
            temporal_shift(given, stride)[0, frame, 1, channel].backward()
            expected = torch.zeros_like(given)
            expected[0, source_of(frame, channel, frames, dim, stride), 1, channel] = 1
            assert torch.equal(given.grad, expected)


@pytest.mark.parametrize("stride", [0, -1])
def test_stride_below_one(stride):
    with pytest.raises(ValueError, match=rf"MODEL\.MII\.SII\.STRIDE is {stride}.*at least 1"):
        temporal_shift(tokens(1, 4, 2, 8), stride)


def test_shift_keeps_half_precision():
    assert temporal_shift(tokens(1, 3, 2, 8).bfloat16(), 1).dtype == torch.bfloat16


@pytest.mark.parametrize(("frames", "stride", "depth"), [(4, 1, 2), (5, 2, 1), (1, 1, 2), (2, 3, 3)])
@torch.no_grad()
def test_class_tokens_pass_all_blocks_against_their_own_frames_shifted_patches(frames, stride, depth):
    torch.manual_seed(0)
    interaction = ShortTermInteraction(8, 2, 4.0, stride, depth).double()
    assert len(interaction.blocks) == depth
    given = tokens(3, frames, 1 + 5, 8)
    result = interaction(given)
    assert result.shape == (3, frames, 8)
    for clip in range(3):
        for frame in range(frames):
            patches = torch.empty(1, 5, 8, dtype=torch.float64)
            for channel in range(8):
                source = source_of(frame, channel, frames, 8, stride)
                patches[0, :, channel] = given[clip, source, 1:, channel]
            query = given[clip, frame, :1][None]
            for block in interaction.blocks:
                query = block(query, patches)
            assert_close(result[clip, frame], query[0, 0])


def test_blocks_have_weights_of_their_own():
    interaction = ShortTermInteraction(8, 2, 4.0, 1, 2)
    first, second = interaction.blocks
    assert not torch.equal(first.to_query.weight, second.to_query.weight)
    interaction(tokens(2, 3, 4, 8).float()).sum().backward()
    assert all(parameter.grad is not None for parameter in interaction.parameters())
