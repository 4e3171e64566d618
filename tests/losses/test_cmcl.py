import torch
from torch.testing import assert_close

from xreid_plugin.losses.cmcl import cmcl_loss


def test_equation_9_by_hand():
    # Infrared: squared distances 25 and 1, mean 13; visible: 4 and 0, mean 2.
    features = torch.tensor([[3.0, 4.0], [1.0, 0.0], [2.0, 2.0], [5.0, 5.0]])
    counterparts = torch.tensor([[0.0, 0.0], [0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    assert_close(cmcl_loss(features, counterparts).item(), 15.0)


def test_gradient_goes_into_both_sides():
    features, counterparts = torch.tensor([[3.0], [1.0]], requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    cmcl_loss(features, counterparts).backward()
    # d/dx (x − y)² = 2·(x − y), one clip a modality.
    assert features.grad.flatten().tolist() == [6.0, 2.0]
    assert counterparts.grad.flatten().tolist() == [-6.0, -2.0]
