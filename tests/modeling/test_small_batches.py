"""Batches at the edge of what there can be: every loss and gradient is defined."""

import pytest
import torch

from tests.modeling.tiny_model import make_batch, make_model

WITHOUT_PAIRS = ("CII",)
SINGLE_FRAME = ("CII", "SII", "LII")


def batch(targets, modalities, frames):
    labels = {"targets": torch.tensor(targets), "modalities": torch.tensor(modalities)}
    return make_batch(frames, len(targets) // 2) | labels


CASES = {
    # One pair of one identity: the smallest batch of pairs, B = 2 and K = 1.
    "B=2": ((), [1, 1], [0, 1], 2),
    "one identity": ((), [2, 2, 2, 2], [0, 0, 1, 1], 2),
    "K=1": ((), [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1], 2),
    "T=1": (SINGLE_FRAME, [0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 1, 1], 1),
    "one modality": (WITHOUT_PAIRS, [0, 0, 1, 1], [0, 0, 0, 0], 2),
    "an identity lacks a modality": (WITHOUT_PAIRS, [0, 0, 1, 2], [0, 1, 1, 0], 2),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_finite(case):
    off, *content = CASES[case]
    model = make_model(off).train()
    losses = model(batch(*content))
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values()), losses
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    model.prototypes.update()
    for memory in (model.prototypes.infrared, model.prototypes.visible):
        torch.testing.assert_close(memory.norm(dim=1), torch.ones(len(memory)))
