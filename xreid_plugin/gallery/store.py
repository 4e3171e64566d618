"""A gallery on disk: opened without reading it, searched, and added to without ever being half-written.

A folder holds gallery.json, segments of rows, perhaps an index, and a lock. What gallery.json does not name does not
count: an addition writes files of new names and then replaces gallery.json, so that a reader sees the old state or the
new one, even after a writer was killed.
"""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from xreid_plugin.gallery.exact import Found, Rows, nearest, search_exactly
from xreid_plugin.gallery.index import ApproximateIndex, build_index, is_due, wanted_kind
from xreid_plugin.gallery.manifest import FILE, Manifest, SegmentEntry
from xreid_plugin.gallery.records import GalleryError, Record
from xreid_plugin.gallery.segment import Segment, write_segment

LOCK = "writer.lock"
_SEGMENT, _INDEX = "segment", "index"
# A reader that is overtaken by this many writers in a row gives up.
_ATTEMPTS = 20

Batch = tuple[NDArray[np.float32], list[Record]]


class Gallery:
    """One state of a gallery, which stays as it is while others add to it. Any number of threads may search.

    Attributes:
        manifest: what it consists of.
        rows: all embeddings, (n, F), rows of length 1.
    """

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: the gallery's folder.

        Raises:
            GalleryError: there is none, or it is damaged.
        """
        for _ in range(_ATTEMPTS):
            self.manifest = Manifest.read(folder)
            try:
                self._open(folder)
                return
            except FileNotFoundError as error:
                # Since the manifest was read, a writer may have replaced what it named.
                if Manifest.read(folder) == self.manifest:
                    raise GalleryError(f"{folder} is damaged: {error.filename or error} is missing.") from error
        raise GalleryError(f"{folder} is being changed faster than it can be opened; try again.")

    def _open(self, folder: Path) -> None:
        manifest = self.manifest
        self.segments = [Segment(folder, entry, manifest.dimensions) for entry in manifest.segments]
        self.rows = Rows([segment.embeddings for segment in self.segments])
        self._index = ApproximateIndex(folder, manifest.index) if manifest.index else None

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: NDArray[np.float32], k: int, exact: bool = False) -> Found:
        """The k nearest tracklets of each query, or all of them where they are fewer.

        Args:
            queries: (Q, F) float32, rows of length 1.
            k: number of tracklets, at least 1.
            exact: search exactly even where there is an approximate index.

        Returns:
            Cosines and rows, nearest first. An approximate index may find fewer: empty places have the row -1 and
            the score -inf.

        Raises:
            GalleryError: queries of another shape, not finite, or a k below 1.
        """
        dimensions = self.manifest.dimensions
        fits = queries.ndim == 2 and len(queries) > 0 and queries.shape[1] == dimensions
        if not fits or not np.isfinite(queries).all() or k < 1:
            raise GalleryError(
                f"Queries must be finite, of shape (queries, {dimensions}), and k at least 1; got {queries.shape}, {k}."
            )
        queries = np.ascontiguousarray(queries, np.float32)
        if exact or self._index is None or self.manifest.index is None:
            return search_exactly(queries, self.rows, k)
        behind = search_exactly(queries, self.rows, k, start=self.manifest.index.rows)
        return nearest(k, self._index.search(queries, self.rows, k), behind)

    def record(self, row: int) -> Record:
        """What is known about a tracklet.

        Raises:
            GalleryError: it is damaged.
        """
        segment, place = self.rows.locate(row)
        return self.segments[segment].record(place)

    def records(self) -> Iterator[Record]:
        """What is known about all tracklets, in the order of their rows."""
        return (segment.record(place) for segment in self.segments for place in range(len(segment)))


def create(folder: Path, manifest: Manifest, batches: Iterable[Batch], wait: float = 0.0) -> Manifest:
    """Makes a gallery.

    Args:
        folder: the folder, to be made or empty.
        manifest: the manifest of a gallery without rows.
        batches: (n, F) embeddings of length 1 with n records each.
        wait: seconds to wait for another writer to finish; negative: without limit.

    Returns:
        Its state.

    Raises:
        GalleryError: the folder is in use, another process writes to it, or there is nothing to put into it.
    """
    if (folder / FILE).exists():
        raise GalleryError(f"{folder} is a gallery already: add to it, or build in another folder.")
    if folder.exists() and not (folder.is_dir() and all(map(_is_ours, folder.iterdir()))):
        raise GalleryError(f"{folder} is there already and is not empty: build in a folder of its own.")
    folder.mkdir(parents=True, exist_ok=True)
    with _writing(folder, wait):
        if (folder / FILE).exists():
            raise GalleryError(f"{folder} has just been built by another process.")
        return _append(folder, manifest, batches)


def add(folder: Path, batches: Iterable[Batch], wait: float = 0.0) -> Manifest:
    """Adds to a gallery: everything, or nothing at all.

    Args:
        folder: the gallery's folder.
        batches: see :func:`create`; read while other writers are locked out.
        wait: see :func:`create`.

    Returns:
        The new state.

    Raises:
        GalleryError: there is no gallery, another process writes to it, or there is nothing to add.
    """
    Manifest.read(folder)
    with _writing(folder, wait):
        return _append(folder, Manifest.read(folder), batches)


def change(folder: Path, wait: float = 0.0, **fields: object) -> Manifest:
    """Sets fields of the manifest that leave the rows as they are, such as ``calibration``.

    Raises:
        GalleryError: there is no gallery, or another process writes to it.
    """
    Manifest.read(folder)
    with _writing(folder, wait):
        manifest = replace(Manifest.read(folder), **fields)  # type: ignore[arg-type]
        manifest.write(folder)
        return manifest


@contextmanager
def _writing(folder: Path, wait: float) -> Iterator[None]:
    try:
        # The system releases the lock of a process that is killed.
        with FileLock(folder / LOCK, timeout=wait):
            yield
    except Timeout:
        raise GalleryError(
            f"{folder} is being written to by another process; wait until it has finished, or let --wait do so."
        ) from None


def _append(folder: Path, manifest: Manifest, batches: Iterable[Batch]) -> Manifest:
    _sweep(folder, manifest)
    name = _new_name(_SEGMENT)
    encoded = ((embeddings, [record.to_json() for record in records]) for embeddings, records in batches)
    try:
        rows = write_segment(folder / name, encoded, manifest.dimensions)
        if not rows:
            raise GalleryError(f"There is no tracklet to put into {folder}.")
        grown = _merged(folder, replace(manifest, segments=(*manifest.segments, SegmentEntry(name, rows))))
        grown = _indexed(folder, grown)
        grown.write(folder)
    except BaseException:
        # An interruption may come when the new state has just been written.
        _sweep(folder, Manifest.read(folder) if (folder / FILE).exists() else manifest)
        raise
    _sweep(folder, grown)
    return grown


def _merged(folder: Path, manifest: Manifest) -> Manifest:
    """Joins the last segments until each has twice the rows of the next: n rows then lie in at most 1 + log2(n)."""
    kept = list(manifest.segments)
    last = [kept.pop()]
    while kept and kept[-1].rows < 2 * sum(entry.rows for entry in last):
        last.insert(0, kept.pop())
    if len(last) == 1:
        return manifest
    name = _new_name(_SEGMENT)
    batches = chain.from_iterable(Segment(folder, entry, manifest.dimensions).batches() for entry in last)
    rows = write_segment(folder / name, batches, manifest.dimensions)
    return replace(manifest, segments=(*kept, SegmentEntry(name, rows)))


def _indexed(folder: Path, manifest: Manifest) -> Manifest:
    if not is_due(manifest.kind, manifest.rows, manifest.index):
        return manifest
    rows = Rows([Segment(folder, entry, manifest.dimensions).embeddings for entry in manifest.segments])
    kind = wanted_kind(manifest.kind, manifest.rows)
    return replace(manifest, index=build_index(folder / _new_name(_INDEX), kind, rows, manifest.recall_wanted))


def _new_name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}"


def _is_ours(path: Path) -> bool:
    return path.name == LOCK or path.name.startswith((f"{_SEGMENT}-", f"{_INDEX}-", f"{FILE}."))


def _sweep(folder: Path, manifest: Manifest) -> None:
    """Removes what no state names any more: a killed writer's files, and replaced ones. Open ones stay readable."""
    named = {entry.name for entry in manifest.segments} | {manifest.index.name if manifest.index else ""}
    for path in folder.iterdir():
        if _is_ours(path) and path.name not in {*named, LOCK}:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
