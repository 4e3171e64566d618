"""A gallery on disk: what is known of its tracklets in a SQLite database, their embeddings in one array.

    gallery.sqlite     the gallery's manifest and its tracklets
    embeddings.f32     (n, F) float32, little-endian, rows of length 1, no header; only appended to
    index-ROWS.faiss   an approximate index of the first ROWS rows, where one was asked for

How many rows count is a row of the database. An addition writes its embeddings behind them, and counts them in the
transaction that inserts their records: a reader sees the state before or after, and what a killed writer has left does
not count and is overwritten by the next. SQLite's lock keeps a second writer out.

Shapes: n rows, F dimensions, Q queries, k neighbours.
"""

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.index import (
    Found,
    IndexEntry,
    IndexKind,
    build_index,
    kind_due,
    nearest,
    open_index,
    search_exactly,
    search_index,
)

DATABASE, EMBEDDINGS = "gallery.sqlite", "embeddings.f32"
_SCHEMA = (
    "CREATE TABLE manifest (id INTEGER PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE tracklets (row INTEGER PRIMARY KEY, identity TEXT NOT NULL, source TEXT NOT NULL, camera INTEGER, "
    "time REAL, modality TEXT, frames TEXT NOT NULL)",
)
# How long one waits for those who hold the database for moments only, in seconds.
_MOMENTS = 60.0


class FrameRef(NamedTuple):
    """A picture's path; or a video's, the number of a frame from 0, and a box in it: x1, y1, x2, y2 in pixels."""

    path: str
    number: int | None = None
    box: Sequence[float] | None = None


class Record(NamedTuple):
    """What is known of a tracklet besides its embedding.

    Attributes:
        identity: who it is, or "" where that is not known.
        source: what the tracklet is called: a folder, a video, a dataset's tracklet.
        camera: number of the camera, or None.
        time: when it began, in seconds since 1970 in UTC, or None.
        modality: "infrared" or "visible", or None.
        frames: some of its frames, in order.
    """

    identity: str = ""
    source: str = ""
    camera: int | None = None
    time: float | None = None
    modality: str | None = None
    frames: Sequence[FrameRef] = ()

    @property
    def when(self) -> str:
        """The time in ISO 8601, for display; "" where it is not known."""
        return "" if self.time is None else datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Manifest:
    """A state of a gallery.

    Attributes:
        dimensions: F.
        model: fingerprint of the model that made the embeddings, or None where it is not known.
        checkpoint: where that model was.
        settings: KEY VALUE ... that changed its configuration.
        kind: the kind of index that was asked for.
        recall_wanted: the recall asked of an approximate index, 0..1.
        rows: n.
        index: the approximate index; None where all rows are searched exactly.
        calibration: the threshold; None where there is none.
    """

    dimensions: int
    model: str | None = None
    checkpoint: str | None = None
    settings: Sequence[str] = ()
    kind: IndexKind = "exact"
    recall_wanted: float = 0.95
    rows: int = 0
    index: IndexEntry | None = None
    calibration: Calibration | None = None


Batch = tuple[NDArray[np.float32], list[Record]]


class Gallery:
    """One state of a gallery, which stays as it is while others add to it. Any number of threads may search.

    Attributes:
        manifest: what it consists of.
        embeddings: (n, F) float32, rows of length 1, memory-mapped.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the gallery in a folder; ValueError where there is none."""
        self._folder = folder
        # Until the transaction ends no writer commits, and none removes what the manifest names.
        with _transaction(folder) as database:
            self.manifest = _read(database)
            self.embeddings = _mapped(folder, self.manifest.rows, self.manifest.dimensions)
            entry = self.manifest.index
            self._index = open_index(folder, entry) if entry else None

    def __len__(self) -> int:
        return self.manifest.rows

    def search(self, queries: NDArray[np.float32], k: int, exact: bool = False) -> Found:
        """The k nearest tracklets of each query, or all of them where they are fewer.

        Args:
            queries: (Q, F) float32, rows of length 1.
            k: number of tracklets, at least 1; an approximate index may find fewer, and then gives rows -1.
            exact: search exactly even where there is an approximate index.
        """
        entry = self.manifest.index
        if exact or entry is None:
            return search_exactly(queries, self.embeddings, k)
        behind = search_exactly(queries, self.embeddings, k, first=entry.rows)
        return nearest(k, search_index(self._index, queries, self.embeddings, k), behind)

    def records(self, start: int = 0, stop: int | None = None) -> list[Record]:
        """What is known of the tracklets start..stop-1, by default of all, in the order of their rows."""
        chosen = f"SELECT {', '.join(Record._fields)} FROM tracklets WHERE row >= ? AND row < ? ORDER BY row"
        with _transaction(self._folder) as database:
            found = database.execute(chosen, (start, len(self) if stop is None else stop)).fetchall()
        return [Record._make([*known, [FrameRef(*frame) for frame in json.loads(frames)]]) for *known, frames in found]


def create(folder: Path, manifest: Manifest, wait: float = 0.0) -> None:
    """Makes a gallery without rows, in the place of one without rows if a build that failed has left it.

    Args:
        folder: to be made, empty, or that of such a gallery; ValueError where it holds anything else.
        manifest: of a gallery without rows.
        wait: seconds to wait for another writer to finish, or ValueError; negative: without limit.
    """
    is_new = not (folder / DATABASE).exists()
    if is_new and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is there already and is not empty: build in a folder of its own.")
    folder.mkdir(parents=True, exist_ok=True)
    with _transaction(folder, wait, mode="rwc") as database:
        if is_new:
            for statement in _SCHEMA:
                database.execute(statement)
            (folder / EMBEDDINGS).touch()
        elif _read(database).rows:
            raise ValueError(f"{folder} is a gallery already: add to it, or build in another folder.")
        _write(database, manifest)


def add(folder: Path, batches: Iterable[Batch], wait: float = 0.0) -> None:
    """Adds to a gallery everything, or nothing at all; ValueError where there is none, or another process writes to it.

    Args:
        folder: the gallery's folder.
        batches: (m, F) float32 embeddings of length 1 with m records each; read while other writers are locked out.
        wait: see :func:`create`.
    """
    with _transaction(folder, wait) as database:
        before = _read(database)
        rows, entry = _append(folder, database, before, batches), before.index
        kind = kind_due(before.kind, rows, entry)
        if kind:
            entry = build_index(folder, kind, _mapped(folder, rows, before.dimensions), before.recall_wanted)
        _write(database, replace(before, rows=rows, index=entry))
    if before.index and entry != before.index:
        # Whoever has it open goes on with it, and no other index ever has its name.
        (folder / before.index.file).unlink()


def set_calibration(folder: Path, calibration: Calibration, wait: float = 0.0) -> None:
    """Sets the threshold of a gallery; ValueError as in :func:`add`."""
    with _transaction(folder, wait) as database:
        _write(database, replace(_read(database), calibration=calibration))


def _append(folder: Path, database: sqlite3.Connection, manifest: Manifest, batches: Iterable[Batch]) -> int:
    """Writes rows behind those that count, and returns how many there are then."""
    rows, dimensions = manifest.rows, manifest.dimensions
    with (folder / EMBEDDINGS).open("r+b") as file:
        file.truncate(rows * dimensions * 4)
        file.seek(0, os.SEEK_END)
        for embeddings, records in batches:
            fits = embeddings.shape == (len(records), dimensions)
            if not fits or not np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-3):
                raise ValueError(f"Embeddings of {embeddings.shape}: not of {dimensions} dimensions and length 1.")
            file.write(np.ascontiguousarray(embeddings, "<f4").data)
            lines = [(row, *r[:-1], json.dumps(r.frames)) for row, r in enumerate(records, start=rows)]
            database.executemany("INSERT INTO tracklets VALUES (?, ?, ?, ?, ?, ?, ?)", lines)
            rows += len(records)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _mapped(folder: Path, rows: int, dimensions: int) -> NDArray[np.float32]:
    # Nothing cannot be mapped. A memmap would pass its subclass on to every array that is made from it.
    mapped: ArrayLike = np.memmap(folder / EMBEDDINGS, "<f4", "r", shape=(rows, dimensions)) if rows else []
    return np.asarray(mapped, np.float32).reshape(rows, dimensions)


@contextmanager
def _transaction(folder: Path, wait: float | None = None, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A transaction, which an exception rolls back: the only writer's where ``wait`` is given, else a reader's."""
    path = folder / DATABASE
    if mode == "rw" and not path.is_file():
        raise ValueError(f"{folder} is no gallery of this version, as it has no {path.name}: build it anew.")
    address = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        with closing(sqlite3.connect(address, _MOMENTS, isolation_level=None, uri=True)) as database:
            if wait is None:
                database.execute("BEGIN")
            else:
                _lock(database, folder, wait)
            yield database
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise ValueError(f"{path}: {error}.") from error


def _lock(database: sqlite3.Connection, folder: Path, wait: float) -> None:
    """Begins a writer's transaction, as soon as there is no other within ``wait`` seconds."""
    # Else changes that outgrow the cache would be written before the end, which locks readers out.
    database.execute("PRAGMA cache_spill = OFF")
    # Short, and again and again, so that Ctrl-C is heard.
    database.execute("PRAGMA busy_timeout = 100")
    until = time.monotonic() + wait if wait >= 0 else math.inf
    while not database.in_transaction:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise ValueError(f"{folder}: {error}. If another process writes to it, --wait waits for it.") from error
    database.execute(f"PRAGMA busy_timeout = {_MOMENTS * 1000:.0f}")


def _read(database: sqlite3.Connection) -> Manifest:
    fields = json.loads(database.execute("SELECT state FROM manifest").fetchone()[0])
    fields["index"] = fields["index"] and IndexEntry(**fields["index"])
    fields["calibration"] = fields["calibration"] and Calibration(**fields["calibration"])
    return Manifest(**fields)


def _write(database: sqlite3.Connection, manifest: Manifest) -> None:
    database.execute("INSERT OR REPLACE INTO manifest VALUES (0, ?)", (json.dumps(asdict(manifest)),))
