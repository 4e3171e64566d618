import math

import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.losses.cpcl import cpcl_loss

IR, VIS = int(Modality.INFRARED), int(Modality.VISIBLE)


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_closed_form_of_two_orthonormal_prototypes(temperature):
    # On its prototype a clip has the logits 1/τ and 0, so each memory costs log(1 + e^(−1/τ)).
    prototypes = torch.eye(2, 3, dtype=torch.float64)
    features = torch.tensor([[5.0, 0, 0], [0, 0.1, 0]], dtype=torch.float64)
    loss = cpcl_loss(features, torch.tensor([0, 1]), prototypes, prototypes, temperature)
    assert_close(loss.item(), 2 * math.log1p(math.exp(-1 / temperature)))


def plain_cpcl(features, targets, memories, temperature, negatives, own):
    """Equations 3 and 4 with loops: mean over the clips that meet a memory, summed over the two memories."""
    total = 0.0
    for modality, memory in memories.items():
        costs = []
        for feature, target, of in zip(features, targets.tolist(), own, strict=True):
            if of is not None and of != modality:
                continue
            columns = range(len(memory)) if negatives == "all" else sorted(set(targets.tolist()))
            scores = {j: float(feature @ memory[j] / feature.norm()) / temperature for j in columns}
            costs.append(math.log(sum(map(math.exp, scores.values()))) - scores[target])
        total += sum(costs) / len(costs)
    return total


@pytest.mark.parametrize("negatives", ["all", "batch"])
@pytest.mark.parametrize("collaboration", [True, False])
def test_it_is_equations_3_and_4(negatives, collaboration):
    features, visible, infrared = random(6, 5), random(4, 5, seed=1), random(4, 5, seed=2)
    visible, infrared = visible / visible.norm(dim=1, keepdim=True), infrared / infrared.norm(dim=1, keepdim=True)
    targets = torch.tensor([0, 3, 1, 1, 3, 0])
    modalities = torch.tensor([IR, IR, IR, VIS, VIS, VIS])
    own = [None] * 6 if collaboration else modalities.tolist()
    expected = plain_cpcl(features, targets, {VIS: visible, IR: infrared}, 0.05, negatives, own)
    loss = cpcl_loss(
        features,
        targets,
        visible,
        infrared,
        negatives=negatives,
        own_modality=None if collaboration else modalities,
    )
    assert_close(loss.item(), expected)


def test_gradient_reaches_features_alone():
    features = random(4, 5).requires_grad_()
    visible, infrared = random(3, 5, seed=1).requires_grad_(), random(3, 5, seed=2).requires_grad_()
    cpcl_loss(features, torch.tensor([0, 1, 2, 0]), visible, infrared).backward()
    assert visible.grad is None
    assert infrared.grad is None
    # The loss is the same along a feature, so its gradient stands at right angles to it.
    assert features.grad.norm(dim=1).min() > 0
    assert_close((features.grad * features.detach()).sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-9, rtol=0)


def test_memories_before_the_first_refresh_are_harmless():
    features = random(2, 3).requires_grad_()
    loss = cpcl_loss(features, torch.tensor([0, 1]), torch.zeros(4, 3), torch.zeros(4, 3))
    loss.backward()
    assert_close(loss.item(), 2 * math.log(4))
    assert not features.grad.any()


def test_a_memory_that_no_clip_meets_costs_nothing():
    features, memory = random(2, 3), torch.eye(2, 3, dtype=torch.float64)
    targets, visible = torch.tensor([0, 1]), torch.tensor([VIS, VIS])
    alone = cpcl_loss(features, targets, memory, memory.flip(0), own_modality=visible)
    assert_close(alone, cpcl_loss(features, targets, memory, memory) / 2)
