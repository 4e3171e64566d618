from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.data.small_set import small_config
from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.engine.hooks import FreezeHook
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.modeling.gather import share_batch_statistics


class Nested(nn.Module):
    """A layer to freeze that is no child of the model, as a baseline's backbone is none."""

    def __init__(self):
        super().__init__()
        self.image_model = nn.ModuleDict({"backbone": nn.BatchNorm1d(2), "heads": nn.BatchNorm1d(2)})

    def forward(self, rows):
        return self.image_model["heads"](self.image_model["backbone"](rows))


def moved(model, optimizer, hook, iteration):
    """Names of the norms whose statistics, and of those whose parameters, a step moves."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hook.trainer = SimpleNamespace(iter=iteration)
    hook.before_step()
    optimizer.zero_grad()
    rows = torch.randn(8, 2, generator=torch.Generator().manual_seed(iteration))
    (model(rows + 3) * rows).sum().backward()
    optimizer.step()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    return [{name.split(".")[1] for name in changed if name.endswith(end)} for end in ("running_mean", "bias")]


def test_a_frozen_layer_moves_once_it_is_free_and_never_before():
    cfg, model = get_cfg(), Nested()
    cfg.MODEL.FREEZE_LAYERS, cfg.SOLVER.FREEZE_ITERS = ["image_model.backbone"], 2
    optimizer = build_optimizer(cfg, model)
    hook = FreezeHook(model, optimizer, cfg.MODEL.FREEZE_LAYERS, 2)
    assert moved(model, optimizer, hook, 0) == [{"heads"}, {"heads"}]
    # As an evaluation leaves it.
    model.train()
    assert moved(model, optimizer, hook, 1) == [{"heads"}, {"heads"}]
    assert moved(model, optimizer, hook, 2) == [{"backbone", "heads"}, {"backbone", "heads"}]


@pytest.mark.parametrize("layers", ['["heads"]', '["backbone", "heads.classifier"]'])
def test_any_layers_may_be_frozen(small_set, tmp_path, layers):
    freeze = ["MODEL.FREEZE_LAYERS", layers, "SOLVER.FREEZE_ITERS", "99", "TEST.EVAL_PERIOD", "0"]
    trainer = XReIDTrainer(small_config(small_set, tmp_path, *freeze, "TEST.EVAL_AT_START", "False"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    moving = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert moving
    assert not any(name.startswith("heads" if layers == '["heads"]' else "backbone") for name in moving)


# Rank 1's model has seen other batches than rank 0's.
MEANS = [[0.0, 4.0], [2.0, 8.0]]


def shared_on_rank(rank, folder):
    model = nn.Sequential(nn.BatchNorm1d(2))
    model[0].running_mean.copy_(torch.tensor(MEANS[rank]))
    share_batch_statistics(model)
    return dict(model.named_buffers())


def test_two_ranks_share_the_mean_of_their_statistics(tmp_path):
    for held in run_on_two_ranks(shared_on_rank, tmp_path):
        assert held["0.running_mean"].tolist() == [1.0, 6.0]
