"""How much of a GPU's memory a training step takes, found out without a GPU.

The step runs on tensors that claim to be on one and have no content, so that nothing is computed; what autograd keeps
for the backward pass is added up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS
from xreid_plugin.host import build_model

# What only the data tells changes little.
_IDENTITIES, _CAMERAS = 1000, 12
_GPU = "cuda"
OLDEST_TORCH = "2.15"


class StepMemory(NamedTuple):
    """Bytes that a step of training holds at the end of the forward pass, its peak unless blocks are checkpointed.

    Attributes:
        weights: with their gradients and Adam's two moments.
        kept: what the forward pass keeps for the backward pass; the batch, and under autocast the copies of the weights
            in half precision, are among it.
    """

    weights: int
    kept: int


def step_memory(cfg: Any, clips: int) -> StepMemory:
    """Estimates a step on one GPU.

    Kernels' own buffers and the allocator's gaps come on top; with checkpointing also one block, computed anew.

    Args:
        cfg: of any model that can be built on torch's meta device, as X-ReID and most baselines can.
        clips: in the batch of this process.

    Raises:
        ValueError: this torch would abort, as 2.7 does: without a GPU it asks for the driver all the same.
    """
    if torch.__version__ < OLDEST_TORCH and not torch.cuda.is_available():
        raise ValueError(f"Without a GPU this needs torch {OLDEST_TORCH}, not {torch.__version__}.")
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE, cfg.MODEL.BACKBONE.PRETRAIN = "meta", False
    cfg.MODEL.HEADS.NUM_CLASSES = cfg.MODEL.HEADS.NUM_CLASSES or _IDENTITIES
    cfg.MODEL.BACKBONE.CAMERAS = list(cfg.MODEL.BACKBONE.CAMERAS) or list(range(_CAMERAS))
    with torch.device("meta"):
        model = build_model(cfg)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device=_GPU).train()
        own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
        numbers = {key: torch.zeros(clips, dtype=torch.int64, device=_GPU) for key in (TARGETS, CAMIDS, INDICES)}
        frames = clips, cfg.INPUT.CLIP.FRAMES, 3, *cfg.INPUT.SIZE_TRAIN
        images = torch.zeros(frames, dtype=torch.uint8, device=_GPU)
        # By storage, which several tensors may share; the tensors are held, or another could take the place of one.
        kept: dict[int, torch.Tensor] = {images.untyped_storage()._cdata: images}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            key = tensor.untyped_storage()._cdata
            if tensor.device.type == _GPU and key not in own:
                kept[key] = tensor
            return tensor

        with _autocast(cfg), saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = model({IMAGES: images, MODALITIES: torch.zeros_like(numbers[TARGETS]), **numbers})
            assert losses
        learnt = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
        weights = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())) + 3 * learnt
        return StepMemory(weights, sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))


@contextmanager
def _autocast(cfg: Any) -> Iterator[None]:
    """Of CUDA, without CUDA: ``torch.autocast`` would switch itself off."""
    if not cfg.SOLVER.AMP.ENABLED:
        yield
        return
    torch.set_autocast_enabled(_GPU, True)
    torch.set_autocast_dtype(_GPU, getattr(torch, cfg.SOLVER.AMP.DTYPE))
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if not torch.autocast_decrement_nesting():
            torch.clear_autocast_cache()
        torch.set_autocast_enabled(_GPU, False)
