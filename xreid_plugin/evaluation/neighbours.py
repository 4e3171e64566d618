"""Exact nearest neighbours within one set of features: FAISS on the GPU, torch on the GPU, or FAISS on the CPU.

Shapes: N features of D dimensions, k neighbours of each.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.evaluation.distances import as_float32
from xreid_plugin.evaluation.matching import Array
from xreid_plugin.faiss_library import import_faiss

# Number of distances that the torch search holds at once.
BLOCK_ENTRIES = 1 << 24


def neighbours(features: Array, k: int, device: torch.device | str = "cpu") -> NDArray[np.int64]:
    """The k nearest of all features, itself among them, by Euclidean distance.

    On a GPU, FAISS searches if its build can, else torch; on the CPU, FAISS. No GPU but the one asked for is used, as
    others may belong to other processes. The results are equal up to the order of near-equal distances.

    Args:
        features: (N, D) float; searched as float32.
        k: 1..N.
        device: where to search.

    Returns:
        (N, k) int64, nearest first.

    Raises:
        ValueError: ``features`` is not a non-empty matrix of finite numbers, or k is out of range.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return faiss_neighbours(features, k)
    if import_faiss().get_num_gpus() > 0:
        return faiss_neighbours(features, k, torch.cuda.current_device() if device.index is None else device.index)
    return torch_neighbours(features, k, device)


def faiss_neighbours(features: Array, k: int, gpu: int | None = None) -> NDArray[np.int64]:
    """FAISS's flat index, on the CPU or on the GPU of that number; otherwise like :func:`neighbours`."""
    faiss = import_faiss()
    data = _checked(features, k).cpu().numpy()
    index = faiss.IndexFlatL2(data.shape[1])
    if gpu is not None:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), gpu, index)
    index.add(data)
    found: NDArray[np.int64] = index.search(data, k)[1]
    return found


def torch_neighbours(features: Array, k: int, device: torch.device | str) -> NDArray[np.int64]:
    """Matrix products and top-k, in blocks of queries; otherwise like :func:`neighbours`."""
    data = _checked(features, k).to(device)
    squares = data.square().sum(1)
    found = np.empty((len(data), k), np.int64)
    rows = max(1, BLOCK_ENTRIES // len(data))
    for start in range(0, len(data), rows):
        # The query's own square shifts a whole row, which does not change the order.
        block = torch.addmm(squares, data[start : start + rows], data.t(), alpha=-2)
        found[start : start + rows] = block.topk(k, dim=1, largest=False).indices.cpu().numpy()
    return found


def _checked(features: Array, k: int) -> torch.Tensor:
    data = as_float32(features).contiguous()
    if data.ndim != 2 or data.numel() == 0:
        raise ValueError(f"features must be (N, D) with neither of them 0, not {tuple(data.shape)}")
    if not 1 <= k <= len(data):
        raise ValueError(f"{k} neighbours of {len(data)} features: k must lie in 1..{len(data)}")
    if not data.isfinite().all():
        bad = int((~data.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"feature {bad} holds NaN or infinite values: it has no neighbours")
    return data
