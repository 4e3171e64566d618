import math

import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.losses.cmcl import cmcl_loss


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def align_of(interaction):
    return cmcl_loss(interaction, torch.zeros(len(interaction), 3), torch.zeros(len(interaction), 3))[0].item()


def transfer_of(teacher, student, temperature=4.0):
    return cmcl_loss(random(len(teacher), 5), teacher, student, temperature)[1].item()


def test_align_of_known_angles():
    infrared = torch.tensor([[3.0, 0], [0, 1.0], [2.0, 0]])
    assert_close(align_of(torch.cat([infrared, 0.1 * infrared])), 0.0, atol=1e-6, rtol=0)
    assert_close(align_of(torch.cat([infrared, -5 * infrared])), 2.0)
    assert_close(align_of(torch.cat([infrared, infrared.flip(1)])), 1.0)
    # Cosines of 0.6, 1 and −1: (0.4 + 0 + 2) / 3.
    visible = torch.tensor([[0.6, 0.8], [0, 7.0], [-1.0, 0]])
    assert_close(align_of(torch.cat([infrared, visible])), 0.8)


def test_partners_stand_at_the_same_place_of_the_two_blocks():
    infrared = torch.eye(3)
    assert_close(align_of(torch.cat([infrared, infrared])), 0.0, atol=1e-6, rtol=0)
    assert_close(align_of(torch.cat([infrared, infrared.roll(1, dims=0)])), 1.0)


def test_equal_distributions_transfer_nothing():
    logits = random(4, 3)
    assert_close(transfer_of(logits, logits), 0.0, atol=1e-12, rtol=0)
    # A softmax does not see what all logits have in common.
    assert_close(transfer_of(logits, logits + 5), 0.0, atol=1e-12, rtol=0)


def test_transfer_of_two_classes_by_hand():
    # θ = 2: the infrared teacher says (3/4, 1/4), the visible one (1/5, 4/5), the students (1/2, 1/2) and (1/5, 4/5).
    teacher = 2 * torch.tensor([[0.75, 0.25], [0.2, 0.8]], dtype=torch.float64).log()
    student = 2 * torch.tensor([[0.5, 0.5], [0.2, 0.8]], dtype=torch.float64).log()
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert_close(transfer_of(teacher, student, 2.0), divergence / 2 * 2**2)


def test_transfer_is_averaged_over_pairs():
    teacher, student = random(6, 4), random(6, 4, seed=1)
    pairs = [transfer_of(teacher[[i, i + 3]], student[[i, i + 3]]) for i in range(3)]
    assert_close(transfer_of(teacher, student), sum(pairs) / 3)


def test_divergence_is_from_teacher_to_student():
    def divergence(p, q):
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    certain, unsure = (0.98, 0.01, 0.01), (0.4, 0.3, 0.3)
    teacher, student = (torch.tensor([row, row], dtype=torch.float64).log() for row in (certain, unsure))
    assert_close(transfer_of(teacher, student, 1.0), divergence(certain, unsure))
    assert abs(divergence(certain, unsure) - divergence(unsure, certain)) > 0.5


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_temperature_softens_and_its_square_makes_up_for_it(temperature):
    teacher, student = random(4, 3), random(4, 3, seed=1)
    hard = transfer_of(teacher / temperature, student / temperature, 1.0)
    assert_close(transfer_of(teacher, student, temperature), hard * temperature**2)


def test_gradient_of_transfer_reaches_the_student_alone():
    interaction, teacher, student = (random(4, 3, seed=seed).requires_grad_() for seed in range(3))
    cmcl_loss(interaction, teacher, student, 4.0)[1].backward()
    assert teacher.grad is None
    assert interaction.grad is None
    # d/ds KL·θ² = θ·(softmax(s/θ) − softmax(t/θ)), a mean over the four clips.
    difference = (student / 4).softmax(1) - (teacher / 4).softmax(1)
    assert_close(student.grad, difference.detach() * 4 / 4)


def test_gradient_of_align_reaches_both_modalities():
    interaction, logits = random(4, 3).requires_grad_(), random(4, 3, seed=1).requires_grad_()
    cmcl_loss(interaction, logits, logits)[0].backward()
    assert interaction.grad.abs().sum(1).min() > 0
    assert logits.grad is None


def test_odd_batches_hold_no_pairs():
    with pytest.raises(ValueError, match=r"pairs.*3"):
        cmcl_loss(random(3, 4), random(3, 2), random(3, 2))
