"""Approximate indices for large galleries: FAISS proposes candidates, their exact cosines decide.

Both kinds keep one byte per dimension, and are memory-mapped. Their effort is set when they are built: the least
effort that finds the wanted share of the exact neighbours on one sample of rows, measured on another. Those samples are
rows of the gallery, which look for one another; queries of another modality may find less.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xreid_plugin.faiss_library import import_faiss
from xreid_plugin.gallery.exact import Found, Rows, nearest, search_exactly
from xreid_plugin.gallery.manifest import IndexEntry, IndexKind
from xreid_plugin.gallery.records import GalleryError

# From this many rows on, "auto" takes an inverted file. Exact search reads all rows, a GB of them in some 0.04 s on two
# cores: this many of the paper's 2,816 dimensions take a tenth of a second. It never takes a graph, which for a million
# rows took ten times the work to build, and found no more in the same time (docs/performance.md).
AUTO_ROWS = 250_000
# The fewest rows of an approximate index: with fewer, its clusters would mean nothing.
LEAST_ROWS = 1000
# An index is rebuilt once this share of the rows was added after it.
LARGEST_TAIL = 0.25
# Candidates per neighbour.
CANDIDATES = 4
RECALL_AT = 10
SAMPLE = 200
_TRAINING_ROWS_A_LIST = 48
# Of the graph: links per row, and candidates while a row's own links are found. For 50,000 rows, 200 instead of 40 took
# six times as long, and found no more.
_LINKS = 32
_CANDIDATES_OF_LINKS = 40
# Some seconds of work for a graph, so that its progress shows.
_ADD_ROWS = 1 << 14


def wanted_kind(kind: IndexKind, rows: int) -> IndexKind:
    """The kind that a gallery of this many rows gets: "exact", "ivf" or "hnsw"."""
    if kind == "auto":
        return "ivf" if rows >= AUTO_ROWS else "exact"
    return "exact" if rows < LEAST_ROWS else kind


def is_due(kind: IndexKind, rows: int, index: IndexEntry | None) -> bool:
    """Whether an index has to be built: one is wanted, and there is none, or too many rows were added after it."""
    if wanted_kind(kind, rows) == "exact":
        return False
    return index is None or rows - index.rows > LARGEST_TAIL * rows


class ApproximateIndex:
    """The candidates of a saved index, ranked by their exact cosines."""

    def __init__(self, folder: Path, entry: IndexEntry) -> None:
        """
        Args:
            folder: the folder that holds its file.
            entry: its entry in the manifest.

        Raises:
            FileNotFoundError: the file is not there.
            GalleryError: it is damaged, or of another kind.
        """
        faiss, path = import_faiss(), folder / entry.name
        if not path.is_file():
            raise FileNotFoundError(path)
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError as error:
            raise GalleryError(f"{path} is damaged: {' '.join(str(error).split())}.") from error
        if self._index.ntotal != entry.rows:
            raise GalleryError(f"{path} is damaged: it has {self._index.ntotal} rows, expected {entry.rows}.")
        self._entry = entry

    def search(self, queries: NDArray[np.float32], rows: Rows, k: int) -> Found:
        """Like :func:`~xreid_plugin.gallery.exact.search_exactly`, among the rows that the index covers."""
        return _search(self._index, self._entry.kind, queries, rows, k, self._entry.effort)


def build_index(path: Path, kind: IndexKind, rows: Rows, recall: float, seed: int = 0) -> IndexEntry:
    """Builds an index of all rows and writes it; it is not used before a manifest names it.

    Args:
        path: the file to write.
        kind: "ivf" or "hnsw".
        rows: the rows to index, at least LEAST_ROWS.
        recall: wanted share of the ten nearest, 0..1.
        seed: the seed of the samples.

    Returns:
        Its entry for a manifest. Where no effort reaches the wanted share, the greatest is taken, and the recall says
        what it reaches.
    """
    faiss, rng = import_faiss(), np.random.default_rng(seed)
    lists = _lists(len(rows))
    dimensions = rows.take(np.zeros(1, np.int64)).shape[1]
    index = faiss.index_factory(dimensions, factory(kind, len(rows)), faiss.METRIC_INNER_PRODUCT)
    if kind == "ivf":
        # Of rows of length 1, the clusters' centres have length 1 too.
        index.cp.spherical = True
        index.cp.seed = seed + 1
    else:
        index.hnsw.efConstruction = _CANDIDATES_OF_LINKS
    chosen = rng.choice(len(rows), min(len(rows), _TRAINING_ROWS_A_LIST * lists), replace=False)
    index.train(rows.take(np.sort(chosen)))
    with tqdm(total=len(rows), desc=f"Indexing ({kind})", unit="row", leave=False, disable=None) as bar:
        for start in range(0, len(rows), _ADD_ROWS):
            for _, block in rows.blocks(start, min(start + _ADD_ROWS, len(rows))):
                index.add(block)
                bar.update(len(block))
    effort, measured, sample = _least_effort(index, kind, rows, recall, rng, lists)
    faiss.write_index(index, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return IndexEntry(path.name, kind, len(rows), effort, measured, sample)


def factory(kind: IndexKind, rows: int) -> str:
    """FAISS's name for the index that :func:`build_index` makes of this many rows."""
    return f"IVF{_lists(rows)},SQ8" if kind == "ivf" else f"HNSW{_LINKS}_SQ8"


def _lists(rows: int) -> int:
    # FAISS wants at least 39 rows per list, to find its centre.
    return min(2 * math.isqrt(rows), rows // 39)


def _least_effort(
    index: Any, kind: str, rows: Rows, recall: float, rng: np.random.Generator, lists: int
) -> tuple[int, float, int]:
    sample = rng.choice(len(rows), min(2 * SAMPLE, len(rows)), replace=False)
    queries = rows.take(sample)
    truth = _others(search_exactly(queries, rows, RECALL_AT + 1).rows, sample)
    half = len(sample) // 2
    effort, most = 4, lists if kind == "ivf" else 4096
    while True:
        found = _others(_search(index, kind, queries, rows, RECALL_AT + 1, effort).rows, sample)
        shares = np.array([len(np.intersect1d(*pair)) / RECALL_AT for pair in zip(truth, found, strict=True)])
        if shares[:half].mean() >= recall or effort >= most:
            return effort, float(shares[half:].mean()), len(sample) - half
        effort = min(2 * effort, most)


def _others(neighbours: NDArray[np.int64], asking: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The ten nearest of each row, without the row itself."""
    return [found[found != row][:RECALL_AT] for found, row in zip(neighbours, asking, strict=True)]


def _search(index: Any, kind: str, queries: NDArray[np.float32], rows: Rows, k: int, effort: int) -> Found:
    faiss = import_faiss()
    candidates = min(CANDIDATES * k, index.ntotal)
    if kind == "ivf":
        parameters = faiss.SearchParametersIVF(nprobe=effort)
    else:
        parameters = faiss.SearchParametersHNSW(efSearch=max(effort, candidates))
    _, proposed = index.search(queries, candidates, params=parameters)
    scores = np.full(proposed.shape, -np.inf, np.float32)
    for number, (query, row) in enumerate(zip(queries, proposed, strict=True)):
        there = row >= 0
        scores[number, there] = rows.take(row[there]) @ query
    return nearest(k, Found(scores, proposed))
