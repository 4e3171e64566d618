import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.modeling.cii import CrossModalityInteraction


def make_interaction():
    torch.manual_seed(0)
    return CrossModalityInteraction(8, 2, 4.0).double()


def tokens(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("pairs", "frames"), [(1, 1), (1, 3), (3, 2)])
@torch.no_grad()
def test_class_tokens_ask_all_patches_of_the_partner(pairs, frames):
    interaction = make_interaction()
    given = tokens(2 * pairs, frames, 1 + 4, 8)
    result = interaction(given)
    assert result.shape == (2 * pairs, frames, 8)
    for clip in range(2 * pairs):
        partner = clip + pairs if clip < pairs else clip - pairs
        patches = torch.cat([given[partner, frame, 1:] for frame in range(frames)])[None]
        for frame in range(frames):
            assert_close(result[clip, frame], interaction.block(given[clip, frame, :1][None], patches)[0, 0])


@pytest.mark.parametrize(("changed", "partner"), [(0, 3), (2, 5), (3, 0), (5, 2)])
@pytest.mark.parametrize("frame", [0, 1])
@torch.no_grad()
def test_patches_of_any_frame_reach_every_frame_of_the_partner_and_nobody_else(changed, partner, frame):
    interaction = make_interaction()
    given = tokens(6, 2, 1 + 4, 8)
    other = given.clone()
    other[changed, frame, 1:] += tokens(4, 8, seed=1)
    differs = (interaction(given) != interaction(other)).any(-1)
    assert differs.nonzero().tolist() == [[partner, 0], [partner, 1]]


@torch.no_grad()
def test_class_tokens_stay_with_their_clip():
    interaction = make_interaction()
    given = tokens(4, 3, 1 + 4, 8)
    other = given.clone()
    other[1, 2, 0] += tokens(8, seed=1)
    differs = (interaction(given) != interaction(other)).any(-1)
    assert differs.nonzero().tolist() == [[1, 2]]


def test_every_parameter_learns():
    interaction = make_interaction()
    interaction(tokens(4, 3, 1 + 4, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in interaction.parameters())


def test_odd_batches_hold_no_pairs():
    with pytest.raises(ValueError, match=r"3 clips.*pairs"):
        make_interaction()(tokens(3, 2, 1 + 4, 8))
