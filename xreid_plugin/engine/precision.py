"""The number type of forward passes, and the scale of gradients that goes with it, as SOLVER.AMP says."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from xreid_plugin.host import resolve_device


def autocast(cfg: Any) -> AbstractContextManager[Any]:
    """What forward passes run in, in training as in inference; may be entered again and again.

    Args:
        cfg: with SOLVER.AMP and MODEL.DEVICE.
    """
    if not cfg.SOLVER.AMP.ENABLED:
        return nullcontext()
    return torch.autocast(resolve_device(cfg.MODEL.DEVICE).type, getattr(torch, cfg.SOLVER.AMP.DTYPE))


def gradient_scaler(cfg: Any) -> torch.amp.GradScaler:
    """Keeps gradients within float16, whose range is the only one that is too small for them; else it does nothing.

    Args:
        cfg: likewise.
    """
    scaled = cfg.SOLVER.AMP.ENABLED and cfg.SOLVER.AMP.DTYPE == "float16"
    return torch.amp.GradScaler(resolve_device(cfg.MODEL.DEVICE).type, enabled=scaled)
