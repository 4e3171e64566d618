"""Nearest neighbours by cosine: exactly, or among the candidates that an approximate index of FAISS proposes.

Exact search is a bare matrix product, and not ``faiss.knn``, which for few queries is over twice as slow. An
approximate index keeps one byte per dimension, and the exact cosines of its candidates decide. Its effort is set when
it is built: the least that finds the wanted share of the exact neighbours on one sample of rows, measured on another.
Those samples are rows of the gallery, which look for one another; queries of another modality may find less.

Shapes: Q queries, F dimensions, k neighbours, n rows; queries and rows are float32, of length 1.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from xreid_plugin.faiss_library import import_faiss
from xreid_plugin.files import replace_atomically

IndexKind: TypeAlias = Literal["exact", "ivf", "hnsw", "auto"]
# How many cosines are held at a time: 64 MB of them.
BLOCK = 1 << 24
# From this many rows on, "auto" takes an inverted file. Exact search of so many, of the paper's 2,816 dimensions, takes
# a tenth of a second. It never takes a graph, which took ten times the work to build (docs/performance.md).
AUTO_ROWS = 250_000
# The fewest rows of an approximate index: with fewer, its clusters would mean nothing.
LEAST_ROWS = 1000
# An index is rebuilt once this share of the rows was added after it.
LARGEST_TAIL = 0.25
CANDIDATES_PER_NEIGHBOUR = 4
RECALL_AT, SAMPLE = 10, 200
_TRAINING_ROWS_PER_LIST = 48
# Of the graph, per row. For 50,000 rows, 200 candidates took six times as long, and found no more.
_LINKS, _CANDIDATES_FOR_LINKS = 32, 40
ROWS_PER_STEP = 1 << 14

Rows: TypeAlias = NDArray[np.float32]


class Found(NamedTuple):
    """Neighbours, nearest first: similarities (Q, k) float32, which are cosines, and their rows (Q, k) int64."""

    similarities: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class IndexEntry:
    """An approximate index of a gallery's first rows; later rows are searched exactly.

    Attributes:
        kind: "ivf" or "hnsw".
        rows: number of rows that it covers, from row 0.
        effort: lists that are probed (ivf), or candidates that are held (hnsw).
        recall: mean share of the exact ten nearest that a search finds, on rows not used to choose the effort.
    """

    kind: str
    rows: int
    effort: int
    recall: float

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"index-{self.rows}.faiss"


def search_exactly(queries: Rows, rows: Rows, k: int, first: int = 0, among: NDArray[np.int64] | None = None) -> Found:
    """The k nearest of the rows from ``first`` on, or of those ``among`` which to search; all where they are fewer."""
    found = Found(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    step = max(1, BLOCK // len(queries))
    if among is not None:
        # These are copied, not mapped.
        step = min(step, ROWS_PER_STEP)
    for start in range(first, len(rows) if among is None else len(among), step):
        part = rows[start : start + step] if among is None else rows[among[start : start + step]]
        # Not torch's product, which would warn about read-only memory.
        cosines = torch.from_numpy(queries @ part.T)
        similarities, places = cosines.topk(min(k, cosines.shape[1]))
        numbers = places.numpy() + start
        found = nearest(k, found, Found(similarities.numpy(), numbers if among is None else among[numbers]))
    return found


def nearest(k: int, *parts: Found) -> Found:
    """The k nearest of several searches over different rows; of equally near ones the lower row comes first."""
    similarities, rows = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    order = np.lexsort((rows, -similarities))[:, :k]
    return Found(np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1))


def kind_due(kind: IndexKind, rows: int, index: IndexEntry | None) -> str | None:
    """The kind of index to build for this many rows; None where there is one of most of them, or none is wanted."""
    if kind == "auto":
        kind = "ivf" if rows >= AUTO_ROWS else "exact"
    if kind == "exact" or rows < LEAST_ROWS or (index and rows - index.rows <= LARGEST_TAIL * rows):
        return None
    return kind


def build_index(folder: Path, kind: str, rows: Rows, recall: float) -> IndexEntry:
    """Builds an index of all rows, at least LEAST_ROWS, and writes it.

    Args:
        folder: of the file.
        kind: "ivf" or "hnsw".
        rows: (n, F).
        recall: wanted share of the ten nearest, 0..1; where no effort reaches it, the greatest is taken.
    """
    faiss, rng, count = import_faiss(), np.random.default_rng(0), len(rows)
    # FAISS wants at least 39 rows per list, to find its centre.
    lists = min(2 * math.isqrt(count), count // 39)
    name = f"IVF{lists},SQ8" if kind == "ivf" else f"HNSW{_LINKS}_SQ8"
    index = faiss.index_factory(rows.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    if kind == "ivf":
        # Of rows of length 1, the clusters' centres have length 1 too.
        index.cp.spherical = True
    else:
        index.hnsw.efConstruction = _CANDIDATES_FOR_LINKS
    index.train(rows[np.sort(rng.choice(count, min(count, _TRAINING_ROWS_PER_LIST * lists), replace=False))])
    for start in tqdm(range(0, count, ROWS_PER_STEP), f"Indexing ({kind})", leave=False, disable=None):
        index.add(rows[start : start + ROWS_PER_STEP])
    sample, half = rng.choice(count, min(2 * SAMPLE, count), replace=False), min(SAMPLE, count // 2)
    truth = _others(search_exactly(rows[sample], rows, RECALL_AT + 1), sample)
    effort, most = 4, lists if kind == "ivf" else 4096
    while True:
        _set_effort(index, kind, effort)
        found = _others(search_index(index, rows[sample], rows, RECALL_AT + 1), sample)
        shares = np.array([len(np.intersect1d(*pair)) / RECALL_AT for pair in zip(truth, found, strict=True)])
        if shares[:half].mean() >= recall or effort >= most:
            break
        effort = min(2 * effort, most)
    entry = IndexEntry(kind, count, effort, float(shares[half:].mean()))
    replace_atomically(folder / entry.file, lambda part: faiss.write_index(index, str(part)))
    return entry


def open_index(folder: Path, entry: IndexEntry) -> Any:
    """A saved index, memory-mapped, for :func:`search_index`."""
    faiss = import_faiss()
    index = faiss.read_index(str(folder / entry.file), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
    _set_effort(index, entry.kind, entry.effort)
    return index


def search_index(index: Any, queries: Rows, rows: Rows, k: int) -> Found:
    """Like :func:`search_exactly`, among the rows that the index covers; leaves places empty: row -1, -inf."""
    _, proposed = index.search(queries, min(CANDIDATES_PER_NEIGHBOUR * k, index.ntotal))
    similarities = np.full(proposed.shape, -np.inf, np.float32)
    for number, (query, row) in enumerate(zip(queries, proposed, strict=True)):
        similarities[number, row >= 0] = rows[row[row >= 0]] @ query
    return nearest(k, Found(similarities, proposed))


def _set_effort(index: Any, kind: str, effort: int) -> None:
    if kind == "ivf":
        index.nprobe = effort
    else:
        index.hnsw.efSearch = effort


def _others(found: Found, asking: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The ten nearest of each row, without the row itself."""
    return [rows[rows != row][:RECALL_AT] for rows, row in zip(found.rows, asking, strict=True)]
