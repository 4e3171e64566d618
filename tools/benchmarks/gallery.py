"""A gallery on disk: building it, and single queries, by an approximate index beside exact search.

Features lie around identities, some 23 tracklets each, in 512 dimensions. Queries are tracklets of the same people that
are not in the gallery; recall is the share of their ten nearest that is found.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Work
from benchmarks.report import Case, beside_floor, read_size
from xreid_plugin.faiss_library import import_faiss
from xreid_plugin.gallery.records import Manifest, Record
from xreid_plugin.gallery.store import Batch, Gallery, add, create

KINDS = {"exact": "faiss.knn", "ivf": "exact search", "hnsw": "exact search"}
DIMENSIONS, QUERIES, NEIGHBOURS = 512, 100, 10
ROWS_A_BATCH = 1 << 14
# Processes that search use what earlier ones have built; removed when the tool ends.
FOLDER = tempfile.TemporaryDirectory(prefix="gallery-")


def gallery_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """For each size, a number of tracklets, and kind of index: building and searching."""
    found = []
    for size in sizes or ("20000",):
        (rows,) = read_size(size, "a number of tracklets, such as 20000", 1)
        for kind, against in KINDS.items():
            given = Path(FOLDER.name, f"{kind}-{rows}"), rows, kind
            found.append(Case(f"gallery, build, {kind}", size, build, given, scale=rows))
            name = f"gallery, {QUERIES} queries, {kind}"
            found.append(Case(name, size, search, given, against, QUERIES, "queries", rows))
            if kind == "exact":
                found.append(beside_floor(found[-1], "a matrix product", partial(multiply, *given[:2])))
    return found


def build(home: Path, rows: int, kind: Any) -> Work:
    """Builds a gallery anew; the last one is left for searching."""

    def run() -> None:
        shutil.rmtree(home, ignore_errors=True)
        create(home, Manifest(DIMENSIONS, kind=kind))
        add(home, people(rows))

    return Work(run)


def search(home: Path, rows: int, kind: str, plainly: bool = False) -> Work:
    """One query after another, by the gallery's index; plainly: without it, or by FAISS where it has none."""
    gallery, exactly = Gallery(home), plainly or kind == "exact"
    queries = next(people(rows, of_queries=True))[0]
    pairs = zip(*(gallery.search(queries, NEIGHBOURS, exact).rows for exact in (True, exactly)), strict=True)
    recall = np.mean([len(np.intersect1d(truth, found)) / len(truth) for truth, found in pairs])
    faiss = import_faiss()

    def run() -> None:
        for query in queries:
            if plainly and kind == "exact":
                faiss.knn(query[None], gallery.embeddings, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)
            else:
                gallery.search(query[None], NEIGHBOURS, exactly)

    return Work(run, {"recall": float(recall)})


def multiply(home: Path, rows: int) -> Work:
    """Bare products of each query and all rows."""
    gallery, queries = Gallery(home), next(people(rows, of_queries=True))[0]
    return Work(lambda: [gallery.embeddings @ query for query in queries])


def people(rows: int, of_queries: bool = False) -> Iterator[Batch]:
    """Tracklets of a gallery, or one batch of queries for it, the same in every run."""
    centres = np.random.default_rng(0).standard_normal((max(1, round(rows * 427 / 9683)), DIMENSIONS), np.float32)
    rng = np.random.default_rng([1, of_queries])
    total = QUERIES if of_queries else rows
    for start in range(0, total, ROWS_A_BATCH):
        pids = rng.integers(len(centres), size=min(ROWS_A_BATCH, total - start))
        # Noise somewhat longer than the identity's own vector: its people can be told apart.
        embeddings = centres[pids] + np.float32(1.2) * rng.standard_normal((len(pids), DIMENSIONS), np.float32)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        numbered = enumerate(pids.tolist(), start)
        yield embeddings, [Record(str(pid), f"row {row}", camera=str(row % 12)) for row, pid in numbered]
