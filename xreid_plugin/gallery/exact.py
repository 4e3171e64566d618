"""Exact nearest neighbours by cosine among rows on disk.

A bare matrix product does it, and not ``faiss.knn``, which at 200,000 rows of 512 dimensions and two threads takes over
twice as long for one query, since it gives that to one thread, and over five times as long for 64, since it multiplies
1,024 rows at a time; ``tools/benchmark.py gallery --sizes 200000:exact`` measures both for single queries.

Shapes: Q queries, F dimensions, k neighbours, n rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

# How many rows and queries have their cosines held at a time: 64 MB of them.
BLOCK_ROWS = 1 << 16
BLOCK_QUERIES = 1 << 8


class Found(NamedTuple):
    """Neighbours, nearest first.

    Attributes:
        scores: (Q, k) float32, cosines.
        rows: (Q, k) int64.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]


class Rows:
    """Arrays as if they were one, without copying them."""

    def __init__(self, parts: Sequence[NDArray[np.float32]]) -> None:
        """
        Args:
            parts: the arrays, (n, F) each.
        """
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def locate(self, row: int) -> tuple[int, int]:
        """The part that holds a row, and the row's place in it."""
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return part, row - int(self._starts[part])

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The rows start..stop-1, a view at a time, each with the number of its first row."""
        for first, part in zip(self._starts.tolist(), self._parts, strict=False):
            low, high = max(start - first, 0), min(stop - first, len(part))
            for offset in range(low, high, BLOCK_ROWS):
                yield first + offset, part[offset : min(offset + BLOCK_ROWS, high)]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(m,) -> (m, F), copied."""
        which = np.searchsorted(self._starts, rows, side="right") - 1
        taken = np.empty((len(rows), self._parts[0].shape[1]), np.float32)
        for number in np.unique(which):
            chosen = which == number
            taken[chosen] = self._parts[number][rows[chosen] - self._starts[number]]
        return taken


def search_exactly(queries: NDArray[np.float32], rows: Rows, k: int, start: int = 0, stop: int | None = None) -> Found:
    """The k nearest of the rows start..stop-1, or all of them where they are fewer.

    Args:
        queries: (Q, F) float32, rows of length 1; Q at least 1.
        rows: the rows to search, of length 1.
        k: number of neighbours, at least 1.
        start: the first row to search.
        stop: one past the last; None for all.
    """
    found = [
        _search_for(queries[first : first + BLOCK_QUERIES], rows, k, start, len(rows) if stop is None else stop)
        for first in range(0, len(queries), BLOCK_QUERIES)
    ]
    return Found(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _search_for(queries: NDArray[np.float32], rows: Rows, k: int, start: int, stop: int) -> Found:
    best = Found(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    for first, block in rows.blocks(start, stop):
        # Not torch's product, which would warn about read-only memory.
        scores, places = torch.from_numpy(queries @ block.T).topk(min(k, len(block)))
        best = nearest(k, best, Found(scores.numpy(), places.numpy() + first))
    return best


def nearest(k: int, *parts: Found) -> Found:
    """The k nearest of several searches over different rows; of equal scores the lower row comes first."""
    scores = np.concatenate([part.scores for part in parts], axis=1)
    rows = np.concatenate([part.rows for part in parts], axis=1)
    order = np.lexsort((rows, -scores))[:, :k]
    return Found(np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1))
