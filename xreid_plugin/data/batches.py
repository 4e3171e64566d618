"""One block of memory per batch: clips are written straight into it, and collating finds them in place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import default_collate, get_worker_info

from xreid_plugin.data.tracklet import FAULTS, IMAGES


def clip_block(clips: int, frames: int, size: tuple[int, int]) -> torch.Tensor:
    """Memory for a batch; in a loader's worker, memory that the parent process sees as well.

    Args:
        clips: B.
        frames: T.
        size: (H, W) in pixels.

    Returns:
        (B, T, 3, H, W) uint8, not initialised.
    """
    shape = (clips, frames, 3, *size)
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # As torch's own collating does it; share_memory_() would copy.
    shared = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape)


def collate_clips(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Torch's ``default_collate`` for items of clips, without copying those that lie in one block.

    Args:
        items: B dicts of the same keys, of which IMAGES holds a tensor.

    Returns:
        By key, their values, batched: integers as (B,) int64, FAULTS as a list.
    """
    labels = [{key: value for key, value in item.items() if key not in (IMAGES, FAULTS)} for item in items]
    batch = {IMAGES: _joined([item[IMAGES] for item in items]), **default_collate(labels)}
    return {**batch, FAULTS: [item[FAULTS] for item in items]} if FAULTS in items[0] else batch


def _joined(clips: list[torch.Tensor]) -> torch.Tensor:
    first, length = clips[0], clips[0].numel()

    def follows(clip: torch.Tensor, place: int) -> bool:
        where = (clip.untyped_storage().data_ptr(), clip.storage_offset())
        expected = (first.untyped_storage().data_ptr(), first.storage_offset() + place * length)
        return where == expected and clip.shape == first.shape and clip.dtype == first.dtype and clip.is_contiguous()

    if all(follows(clip, place) for place, clip in enumerate(clips)):
        return first.as_strided((len(clips), *first.shape), (length, *first.stride()))
    stacked: torch.Tensor = default_collate(clips)
    return stacked
