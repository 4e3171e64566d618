"""Pictures, distances and ranking of the host's own image models."""

from typing import Any

import fastreid.data.transforms.functional
import fastreid.utils.compute_dist
import numpy as np
import torch
from numpy.typing import NDArray


@torch.no_grad()
def compute_euclidean_distance(features: torch.Tensor, others: torch.Tensor) -> NDArray[Any]:
    """Replaces the host's function, which calls an overload of ``addmm_`` that is deprecated.

    Args:
        features: (m, d) float.
        others: (n, d) float.

    Returns:
        (m, n) squared Euclidean distances, as in the host despite the name.
    """
    squares = features.pow(2).sum(1, keepdim=True) + others.pow(2).sum(1)
    return squares.addmm(features, others.t(), beta=1, alpha=-2).cpu().numpy()


_compute_jaccard_distance = fastreid.utils.compute_dist.compute_jaccard_distance


def compute_jaccard_distance(features: torch.Tensor, k1: int = 20, k2: int = 6, **_: Any) -> NDArray[np.float32]:
    """Replaces the host's function, which searches neighbours by a name that faiss has dropped (host issue 515).

    Its search on the CPU has the same result, and needs neither that name nor CUDA.

    Args:
        features: (n, d) float.
        k1: neighbours that make an encoding.
        k2: neighbours over which encodings are averaged.

    Returns:
        (n, n) distances, 0 to 1.
    """
    distances: NDArray[np.float32] = _compute_jaccard_distance(features.cpu(), k1, k2, search_option=3)
    return distances


def no_compilation(*_: object) -> None:
    """Replaces ``ReidEvaluator._compile_dependencies``, which runs make in site-packages and exits if that fails.

    The host's evaluator then ranks in Python, with the same metrics.
    """


_to_tensor = fastreid.data.transforms.functional.to_tensor


def to_tensor(picture: Any) -> torch.Tensor:
    """Replaces ``to_tensor``, which goes through the deprecated ``torch.ByteStorage``.

    Args:
        picture: of Pillow, or an array (H, W, C).

    Returns:
        (C, H, W) float32, 0 to 255 for pictures of 8 bits.
    """
    pixels = np.array(picture)
    return _to_tensor(pixels[..., None] if pixels.ndim == 2 else pixels).contiguous().float()
