"""Deprecated ways to make tensors, replaced."""

import pickle
from typing import Any

import fastreid.data.transforms.functional
import numpy as np
import torch
from PIL import Image

_to_tensor = fastreid.data.transforms.functional.to_tensor


def to_tensor(picture: Any) -> torch.Tensor:
    """Replaces ``to_tensor``, which goes through the deprecated ``torch.ByteStorage`` and, for 1- and 16-bit pictures,
    through a call that NumPy 2 refuses: (C, H, W) float32, 0 to 255 for all but 16- and 32-bit pictures.
    """
    if not isinstance(picture, Image.Image):
        return _to_tensor(picture)
    pixels = torch.from_numpy(np.array(picture.convert("L") if picture.mode == "1" else picture))
    return (pixels[..., None] if pixels.ndim == 2 else pixels).permute(2, 0, 1).contiguous().float()


def serialize_to_tensor(data: Any, group: Any) -> torch.Tensor:
    """Replaces ``comm._serialize_to_tensor``, which goes through the deprecated ``torch.ByteStorage``: (n,) uint8."""
    device = "cpu" if torch.distributed.get_backend(group) == "gloo" else "cuda"
    return torch.frombuffer(bytearray(pickle.dumps(data)), dtype=torch.uint8).to(device)
