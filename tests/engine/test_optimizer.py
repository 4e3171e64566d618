from torch import nn

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.optimizer import build_optimizer


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.MultiheadAttention(4, 1)
        self.mii = nn.Linear(4, 4)
        self.heads = nn.ModuleDict({"neck": nn.BatchNorm1d(4), "classifier": nn.Linear(4, 3, bias=False)})


def config():
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR = 1.0
    cfg.SOLVER.BIAS_LR_FACTOR = 2.0
    cfg.SOLVER.LR_FACTORS = [["mii.*", 10.0], ["heads.*classifier.weight", 5.0]]
    return cfg


def rates(model, optimizer):
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    return {name_of[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_the_first_pattern_that_fits_counts():
    cfg = config()
    cfg.SOLVER.LR_FACTORS = [["mii.bias", 3.0], ["mii.*", 10.0]]
    model = Model()
    found = rates(model, build_optimizer(cfg, model))
    assert (found["mii.weight"], found["mii.bias"]) == (10.0, 6.0)


def test_alike_parameters_share_a_group_and_frozen_ones_are_left_out():
    model = Model()
    model.heads["neck"].bias.requires_grad_(False)
    optimizer = build_optimizer(config(), model)
    keys = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert len(keys) == len(set(keys))
    assert "heads.neck.bias" not in rates(model, optimizer)
