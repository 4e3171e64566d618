"""Distances between queries and gallery, a chunk of queries at a time, so that Q x G need never be held.

Shapes: Q queries, G gallery entries, C queries of one chunk, D feature dimensions.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional as F

from xreid_plugin.evaluation.matching import Array

# A chunk holds about this many distances: few enough that its buffers are reused rather than mapped again, and
# enough that starting the threads of each torch call does not matter.
CHUNK_ENTRIES = 1 << 21


def chunk_rows(num_gallery: int, chunk_size: int | None, at_least: int = 1) -> int:
    """How many queries make a chunk.

    Raises:
        ValueError: a given ``chunk_size`` is below 1.
    """
    if chunk_size is None:
        return max(at_least, CHUNK_ENTRIES // num_gallery)
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
    return chunk_size


def blocks_of_matrix(dist: Array, shape: tuple[int, int], chunk_size: int | None) -> Iterator[tuple[int, torch.Tensor]]:
    """Copies of consecutive rows of a distance matrix, which the caller may write to.

    Args:
        dist: (Q, G) float; half precision is widened to float32, integers to float64.
        shape: the (Q, G) that it must have.
        chunk_size: rows of a block; None chooses.

    Yields:
        Index of the first query, and (C, G) float32 or float64 on the device of ``dist``.

    Raises:
        ValueError: the shape is not the expected one, or a distance is NaN or infinite.
    """
    if tuple(dist.shape) != shape:
        raise ValueError(f"dist must be (queries, gallery) = {shape}, not {tuple(dist.shape)}")
    rows = chunk_rows(shape[1], chunk_size)
    for start in range(0, shape[0], rows):
        part = dist[start : start + rows]
        if isinstance(part, torch.Tensor):
            block = part.detach().clone(memory_format=torch.contiguous_format)
        else:
            block = torch.from_numpy(np.array(part, order="C"))
        if block.dtype not in (torch.float32, torch.float64):
            block = block.to(torch.float32 if block.is_floating_point() else torch.float64)
        _refuse_non_finite(block, start)
        yield start, block


def blocks_of_features(
    q_features: Array, g_features: Array, shape: tuple[int, int], chunk_size: int | None
) -> Iterator[tuple[int, torch.Tensor]]:
    """Cosine distances, 1 - cos in 0..2 up to rounding, computed in float32 where the gallery's features lie.

    Args:
        q_features: (Q, D) float, of any norm.
        g_features: (G, D) float, likewise.
        shape: the (Q, G) that they must have.
        chunk_size: queries of a block; None chooses.

    Yields:
        Index of the first query, and (C, G) float32.

    Raises:
        ValueError: shapes do not fit, or a feature is NaN or infinite.
    """
    queries, gallery = as_float32(q_features), as_float32(g_features)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"features must be (N, D) of one D, not {tuple(queries.shape)} and {tuple(gallery.shape)}")
    if (len(queries), len(gallery)) != shape:
        raise ValueError(f"{len(queries)} query and {len(gallery)} gallery features, but {shape} pids")
    gallery = F.normalize(gallery).t()
    # Below some tens of rows a matrix product no longer keeps the cores busy.
    rows = chunk_rows(shape[1], chunk_size, at_least=128)
    for start in range(0, shape[0], rows):
        block = F.normalize(queries[start : start + rows].to(gallery.device)) @ gallery
        block = block.neg_().add_(1)
        _refuse_non_finite(block, start)
        yield start, block


def as_float32(features: Array) -> torch.Tensor:
    """The features as a float32 tensor without gradient; shares memory where it can."""
    if isinstance(features, torch.Tensor):
        return features.detach().float()
    # torch warns about arrays that it could but must not write to.
    features = np.require(features, np.float32, ["C"])
    return torch.from_numpy(features if features.flags.writeable else features.copy())


def _refuse_non_finite(block: torch.Tensor, start: int) -> None:
    # A NaN shows in the extremes too, at a fraction of the cost of checking every entry.
    if torch.stack(torch.aminmax(block)).isfinite().all():
        return
    row, column = (int(i) for i in (~block.isfinite()).nonzero()[0])
    raise ValueError(
        f"the distance of query {start + row} to gallery entry {column} is {block[row, column].item()}: "
        "ranking needs finite distances; look for NaN or infinite values in the features"
    )
