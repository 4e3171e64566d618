import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.modeling.lii import LongTermInteraction


def make_interaction(stride):
    torch.manual_seed(0)
    return LongTermInteraction(8, 2, 4.0, stride).double()


def tokens(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 5, 7])
@torch.no_grad()
def test_query_is_the_class_token_that_many_frames_on(frames, stride):
    interaction = make_interaction(stride)
    given = tokens(2, frames, 1 + 4, 8)
    result = interaction(given)
    assert result.shape == (2, frames, 8)
    for clip in range(2):
        for frame in range(frames):
            query = given[clip, (frame + stride) % frames, :1][None]
            assert_close(result[clip, frame], interaction.block(query, given[clip, frame, 1:][None])[0, 0])


@pytest.mark.parametrize(("stride", "changed"), [(1, 2), (2, 1), (3, 0), (4, 3)])
@torch.no_grad()
def test_a_class_token_is_asked_for_by_one_frame(stride, changed):
    # Frame 3 of 4 is asked for by frame (3 − S) mod 4.
    interaction = make_interaction(stride)
    given = tokens(1, 4, 1 + 4, 8)
    other = given.clone()
    other[0, 3, 0] += tokens(8, seed=1)
    differs = (interaction(given) != interaction(other)).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == [changed]


@torch.no_grad()
def test_patches_are_read_by_their_own_frame():
    interaction = make_interaction(1)
    given = tokens(2, 4, 1 + 4, 8)
    other = given.clone()
    other[1, 2, 1:] += tokens(4, 8, seed=1)
    differs = (interaction(given) != interaction(other)).any(-1)
    assert differs.nonzero().tolist() == [[1, 2]]


@torch.no_grad()
def test_turning_the_clip_turns_the_output():
    interaction = make_interaction(2)
    given = tokens(2, 5, 1 + 4, 8)
    assert_close(interaction(given.roll(1, dims=1)), interaction(given).roll(1, dims=1))


def test_every_parameter_learns():
    interaction = make_interaction(1)
    interaction(tokens(2, 3, 1 + 4, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in interaction.parameters())
