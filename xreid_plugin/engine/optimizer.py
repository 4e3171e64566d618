"""The recipe's learning rates (method: Recipe), on the host's parameter groups."""

from fnmatch import fnmatchcase
from typing import Any

import torch
from fastreid.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping

# Of torch's optimisers those that know a fused step, on the CPU and on CUDA.
FUSED = ("Adagrad", "Adam", "AdamW", "SGD")


def build_optimizer(cfg: Any, model: torch.nn.Module) -> torch.optim.Optimizer:
    """SOLVER.OPT over the model's parameters, grouped by learning rate and weight decay.

    The rate of a parameter is BASE_LR × BIAS_LR_FACTOR if it is a bias × the factor of the first pattern in
    SOLVER.LR_FACTORS that fits its name. The host makes a group of every parameter; alike ones are put together here,
    since an optimiser runs a kernel or more a group.
    """
    solver = cfg.SOLVER
    single = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        heads_lr_factor=solver.HEADS_LR_FACTOR,
        freeze_layers=cfg.MODEL.FREEZE_LAYERS if solver.FREEZE_ITERS > 0 else [],
    )
    names = {parameter: name for name, parameter in model.named_parameters()}
    factors = [(str(pattern), float(factor)) for pattern, factor in solver.LR_FACTORS]
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in single:
        (parameter,) = group["params"]
        name = names[parameter]
        rate = group["lr"] * _factor_of(name, factors)
        # The host knows a bias by the whole name "bias"; open_clip's attention also has "in_proj_bias".
        if name.endswith("in_proj_bias"):
            rate *= solver.BIAS_LR_FACTOR
            group["weight_decay"] = solver.WEIGHT_DECAY_BIAS
        key = (group["freeze_status"], rate, group["weight_decay"])
        merged.setdefault(key, {**group, "lr": rate, "params": []})["params"].append(parameter)
    kind = maybe_add_gradient_clipping(cfg, getattr(torch.optim, solver.OPT))
    options: dict[str, Any] = {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV} if solver.OPT == "SGD" else {}
    if solver.OPT in FUSED:
        # One kernel for all parameters of a group, where torch's default runs one or more a parameter.
        options["fused"] = True
    return kind(list(merged.values()), **options)


def _factor_of(name: str, factors: list[tuple[str, float]]) -> float:
    return next((factor for pattern, factor in factors if fnmatchcase(name, pattern)), 1.0)
