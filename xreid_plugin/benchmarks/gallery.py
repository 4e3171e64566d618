"""A gallery on disk: building it, and single queries, by an approximate index beside exact search.

Features lie around identities, some 23 tracklets each, like those that ranking is measured on, in 512 dimensions: a
million take 2 GB on disk. The embeddings of the paper's model have 2,816: they would take 11 GB, and a query as many
times longer. Memory includes the mapped parts of a gallery's files, which the system reclaims where it is needed.
Queries are tracklets of the same people that are not in the gallery; recall is the share of their ten nearest that
is found.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.faiss_library import import_faiss
from xreid_plugin.gallery.index import IndexKind
from xreid_plugin.gallery.store import Batch, Gallery, Manifest, Record, add, create

DEFAULT_SIZES = ("20000",)
GROWTH_SIZES = ("1000", "10000", "100000")
KINDS = ("exact", "ivf", "hnsw")
DIMENSIONS = 512
QUERIES = 100
NEIGHBOURS = 10
_TRACKLETS_A_PERSON = 9683 / 427
_ROWS_A_BATCH = 1 << 14


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """Building for every kind of index, and searching: by an index beside exact search, and that beside FAISS's.

    Args:
        sizes: "N", tracklets, or "N:KIND,KIND" for these kinds alone.

    Raises:
        ValueError: a size cannot be read.
    """
    # Processes that search use what earlier ones have built.
    folder = tempfile.mkdtemp(prefix="gallery-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = []
    for size in sizes:
        rows, kinds = parse_size(size)
        for kind in kinds:
            arguments = {"folder": folder, "rows": rows, "kind": kind}
            case = partial(Case, size=f"{rows} tracklets", module=__name__, arguments=arguments, scale=rows)
            built = case(name=f"gallery, build, {kind}", reference=None, plugin="build", items=rows, unit="tracklets")
            searched = case(
                name=f"gallery, {QUERIES} queries, {kind}",
                reference="search_with_faiss" if kind == "exact" else "search_exactly",
                plugin="search",
                against="faiss.knn" if kind == "exact" else "exact search",
                items=QUERIES,
                unit="queries",
            )
            found += [built, searched]
    return found


def parse_size(text: str) -> tuple[int, tuple[IndexKind, ...]]:
    """ "N" or "N:KIND,KIND" -> a number of tracklets, and kinds of index.

    Raises:
        ValueError: it is neither.
    """
    number, _, names = text.partition(":")
    kinds: Any = tuple(names.split(",")) if names else KINDS
    if not number.isdecimal() or int(number) < 1 or not set(kinds) <= set(KINDS):
        raise ValueError(f'"{text}" is no size: write tracklets, such as 20000, or 1000000:exact,ivf for some kinds')
    return int(number), kinds


def build(folder: str, rows: int, kind: IndexKind) -> Callable[[], object]:
    """Work that rebuilds a gallery; the last one is left for searching."""

    def work() -> None:
        shutil.rmtree(_home(folder, rows, kind), ignore_errors=True)
        create(_home(folder, rows, kind), Manifest(DIMENSIONS, kind=kind))
        add(_home(folder, rows, kind), people(rows))

    return work


def search(folder: str, rows: int, kind: IndexKind, exact: bool = False) -> Callable[[], object]:
    """Work that searches for one query after another, with its recall."""
    home = _home(folder, rows, kind)
    if not home.is_dir():
        build(folder, rows, kind)()
    gallery = Gallery(home)
    queries = next(people(rows, of_queries=True))[0]
    truth = gallery.search(queries, NEIGHBOURS, exact=True).rows
    found = gallery.search(queries, NEIGHBOURS, exact).rows
    shares = [len(np.intersect1d(*pair)) / truth.shape[1] for pair in zip(truth, found, strict=True)]

    def work() -> None:
        for query in queries:
            gallery.search(query[None], NEIGHBOURS, exact)

    work.recall = float(np.mean(shares))  # type: ignore[attr-defined]
    return work


def search_exactly(folder: str, rows: int, kind: IndexKind) -> Callable[[], object]:
    """The same gallery, without its index."""
    return search(folder, rows, kind, exact=True)


def search_with_faiss(folder: str, rows: int, kind: IndexKind) -> Callable[[], object]:
    """The same rows, by FAISS's own exact search."""
    home, faiss = _home(folder, rows, kind), import_faiss()
    if not home.is_dir():
        build(folder, rows, kind)()
    embeddings = Gallery(home).embeddings
    queries = next(people(rows, of_queries=True))[0]

    def work() -> None:
        for query in queries:
            faiss.knn(query[None], embeddings, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)

    return work


def people(rows: int, of_queries: bool = False) -> Iterator[Batch]:
    """Tracklets of a gallery, or one batch of queries for it, the same in every run."""
    persons = max(1, round(rows / _TRACKLETS_A_PERSON))
    centres = np.random.default_rng(0).standard_normal((persons, DIMENSIONS), np.float32)
    rng = np.random.default_rng([1, of_queries])
    total = QUERIES if of_queries else rows
    for start in range(0, total, _ROWS_A_BATCH):
        count = min(_ROWS_A_BATCH, total - start)
        pids = rng.integers(len(centres), size=count)
        yield (
            _around(centres[pids], rng),
            [Record(str(pid), f"row {start + place}", place % 12) for place, pid in enumerate(pids.tolist())],
        )


def _around(centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    # Noise of the same length as in the features that ranking is measured on.
    rows = centres + np.float32(1.2) * rng.standard_normal(centres.shape, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _home(folder: str, rows: int, kind: str) -> Path:
    return Path(folder) / f"{kind}-{rows}"
