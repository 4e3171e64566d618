from types import SimpleNamespace

import torch
from torch import nn

from xreid_plugin.engine.hooks import FreezeHook


class Nested(nn.Module):
    """A layer to freeze that is no child of the model, as a baseline's backbone is none."""

    def __init__(self):
        super().__init__()
        self.image_model = nn.ModuleDict({"backbone": nn.BatchNorm1d(2), "heads": nn.BatchNorm1d(2)})

    def forward(self, rows):
        return self.image_model["heads"](self.image_model["backbone"](rows))


def moved_statistics(model, hook, iteration):
    """Names of the norms whose statistics a step moves."""
    before = {name: norm.running_mean.clone() for name, norm in model.image_model.items()}
    hook.trainer = SimpleNamespace(iter=iteration)
    hook.before_step()
    model(torch.randn(8, 2, generator=torch.Generator().manual_seed(iteration)) + 3)
    return [name for name, norm in model.image_model.items() if not torch.equal(norm.running_mean, before[name])]


def test_statistics_of_a_frozen_layer_move_once_it_is_free_and_never_before():
    model = Nested()
    hook = FreezeHook(model, ["image_model.backbone"], 2)
    assert moved_statistics(model, hook, 0) == ["heads"]
    # As an evaluation leaves it.
    model.train()
    assert moved_statistics(model, hook, 1) == ["heads"]
    assert moved_statistics(model, hook, 2) == ["backbone", "heads"]


def test_a_layer_that_is_not_there_is_told(caplog):
    FreezeHook(Nested(), ["backbone"], 2)
    assert "MODEL.FREEZE_LAYERS: the model has no layer backbone" in caplog.text
