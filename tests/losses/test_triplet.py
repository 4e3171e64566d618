import pytest
import torch
from fastreid.modeling.losses.triplet_loss import triplet_loss as host_triplet_loss
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from xreid_plugin.losses.triplet import triplet_loss


@settings(deadline=None, max_examples=50)
@given(
    identities=st.lists(st.integers(0, 3), min_size=2, max_size=4, unique=True),
    each=st.integers(2, 4),
    margin=st.sampled_from([0.1, 0.3, 5.0]),
    seed=st.integers(0, 999),
)
def test_it_is_the_hosts_where_every_anchor_has_both(identities, each, margin, seed):
    targets = torch.tensor(identities * each)
    features = torch.randn(len(targets), 6, generator=torch.Generator().manual_seed(seed))
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss = triplet_loss(ours, targets, margin)
    expected = host_triplet_loss(theirs, targets, margin, norm_feat=False, hard_mining=True)
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=50)
@given(targets=st.lists(st.integers(0, 3), min_size=1, max_size=10), seed=st.integers(0, 999))
def test_it_is_the_plain_loop(targets, seed):
    features = torch.randn(len(targets), 3, generator=torch.Generator().manual_seed(seed))
    costs = []
    for anchor, identity in enumerate(targets):
        distance = [(features[anchor] - other).norm().item() for other in features]
        positives = [distance[i] for i, t in enumerate(targets) if t == identity and i != anchor]
        negatives = [distance[i] for i, t in enumerate(targets) if t != identity]
        if positives and negatives:
            costs.append(max(0.0, max(positives) - min(negatives) + 0.3))
    loss = triplet_loss(features, torch.tensor(targets), 0.3)
    assert_close(loss.item(), sum(costs) / max(1, len(costs)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("targets", [[0, 0, 0], [0, 1, 2], [5]])
def test_without_triplets_it_is_a_zero_that_can_be_differentiated(targets):
    features = torch.randn(len(targets), 4, requires_grad=True)
    loss = triplet_loss(features, torch.tensor(targets), 0.3)
    assert loss.item() == 0
    assert loss.grad_fn is not None
    loss.backward()
    assert not features.grad.any()


@pytest.mark.parametrize("sample", [[1.0] * 4, [0.1, -7.3, 33.3, 0.9], [0.0] * 4])
def test_coincident_samples_have_finite_gradients(sample):
    # By rounding, the square of a distance of zero can come out on either side of it.
    features = torch.tensor([sample] * 6, requires_grad=True)
    loss = triplet_loss(features, torch.tensor([0, 0, 1, 1, 2, 3]), 0.3)
    assert_close(loss.item(), 0.3)
    loss.backward()
    assert features.grad.isfinite().all()


def test_half_precision_is_computed_in_single():
    features = (100 + torch.randn(8, 16, generator=torch.Generator().manual_seed(0))).bfloat16()
    targets = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = triplet_loss(features, targets, 0.3)
    assert loss.dtype == torch.float32
    assert_close(loss, triplet_loss(features.float(), targets, 0.3))
