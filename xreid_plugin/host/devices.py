"""Where a model runs, and in how many processes."""

from typing import Any

import fastreid.modeling.meta_arch.build
import torch


def resolve_device(name: str) -> torch.device:
    """``auto`` is the current CUDA device where there is one, else the CPU; any other name is torch's."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ValueError(f"MODEL.DEVICE is {name!r}; expected auto, cpu, cuda or cuda:N.") from None


def build_model(cfg: Any) -> torch.nn.Module:
    """Replaces ``build_model``, whose default is a CUDA device that may not exist, and which knows no ``auto``."""
    model: torch.nn.Module = fastreid.modeling.meta_arch.build.META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(resolve_device(cfg.MODEL.DEVICE))


def distributed(model: torch.nn.Module, device_ids: list[int], broadcast_buffers: bool) -> torch.nn.Module:
    """Replaces ``DistributedDataParallel`` where ``DefaultTrainer`` wraps its model, for any device and list of losses.

    The host names a GPU even for a model on the CPU, and waits forever for the gradient of a parameter that no loss
    uses. Every step has the same graph here, so the first shows which those are. They have no gradient then, as in a
    single process.
    """
    on_cuda = next(model.parameters()).device.type == "cuda"
    return torch.nn.parallel.DistributedDataParallel(
        model,
        device_ids=device_ids if on_cuda else None,
        forward_sync_buffers=broadcast_buffers,
        static_graph=True,
    )
