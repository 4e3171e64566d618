"""A gallery on disk: what is known of its tracklets in a SQLite database, their embeddings in one array.

    gallery.sqlite     the gallery's manifest and its tracklets, with a strip of frames of each
    embeddings.f32     (n, F) float32, little-endian, rows of length 1, no header; only appended to
    index-ROWS.faiss   an approximate index of the first ROWS rows, where one was asked for

How many rows count is a row of the database. An addition writes its embeddings behind them, and counts them in the
transaction that inserts their records: a reader sees the state before or after, and what a killed writer has left does
not count; the next overwrites it. A removal writes the rows that stay to embeddings-G.f32 of the next generation G, and
removes the old file once the database names the new one. SQLite's lock keeps a second writer out.

Shapes: n rows, F dimensions, Q queries, k neighbours.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.index import (
    ROWS_PER_STEP,
    Found,
    IndexEntry,
    build_index,
    kind_due,
    nearest,
    open_index,
    search_exactly,
    search_index,
)
from xreid_plugin.gallery.records import DATABASE, Manifest, Record, Selection

_VERSION = 2
_SCHEMA = (
    f"PRAGMA user_version = {_VERSION}",
    "CREATE TABLE manifest (id INTEGER PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE tracklets (number INTEGER PRIMARY KEY AUTOINCREMENT, row INTEGER NOT NULL UNIQUE, "
    "identity TEXT NOT NULL, source TEXT NOT NULL, track TEXT NOT NULL, camera TEXT NOT NULL, modality TEXT NOT NULL, "
    "time REAL, begins REAL, ends REAL, digest TEXT NOT NULL, strip BLOB NOT NULL)",
    "CREATE UNIQUE INDEX digests ON tracklets (digest) WHERE digest != ''",
)
# How long one waits for those who hold the database for moments only, in seconds.
_MOMENTS = 60.0

Batch = tuple[NDArray[np.float32], list[Record]]


class Gallery:
    """One state of a gallery, which stays as it is while others add to it. Any number of threads may search.

    Attributes:
        manifest: what it consists of.
        embeddings: (n, F) float32, rows of length 1, memory-mapped.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the gallery in a folder; ValueError where there is none."""
        self.folder = folder
        # Until the transaction ends no writer commits, and none removes what the manifest names.
        with _transaction(folder) as database:
            self.manifest = _read(database)
            self.embeddings = _mapped(folder, self.manifest)
            self.size = sum((folder / name).stat().st_size for name in self.manifest.files)
            entry = self.manifest.index
            self._index = open_index(folder, entry) if entry else None

    def __len__(self) -> int:
        return self.manifest.rows

    def search(
        self, queries: NDArray[np.float32], k: int, exact: bool = False, among: NDArray[np.int64] | None = None
    ) -> Found:
        """The k nearest tracklets of each query, or all of them where they are fewer.

        Args:
            queries: (Q, F) float32, rows of length 1.
            k: number of tracklets, at least 1; an approximate index may find fewer, and then gives rows -1.
            exact: search exactly even where there is an approximate index.
            among: the only rows to search, ascending, which is always exact; None for all.
        """
        entry = self.manifest.index
        if exact or entry is None or among is not None:
            return search_exactly(queries, self.embeddings, k, among=among)
        behind = search_exactly(queries, self.embeddings, k, first=entry.rows)
        return nearest(k, search_index(self._index, queries, self.embeddings, k), behind)

    def select(self, selection: Selection) -> NDArray[np.int64] | None:
        """The rows of the tracklets that are meant, ascending; None for all. ValueError as in :meth:`records`."""
        if selection == Selection():
            return None
        with self._unchanged() as database:
            rows = selection.rows(database)
        return rows[rows < len(self)]

    def records(self, rows: Iterable[int] | None = None, strips: bool = True) -> list[Record]:
        """What is known of the tracklets of some rows, in their order, or of all of them.

        Args:
            rows: 0..n-1; None for all.
            strips: False leaves out the strips, which are nine tenths of it.

        Raises:
            ValueError: tracklets were removed since this state was read.
        """
        columns = [name if strips or name != "strip" else "x''" for name in Record._fields]
        chosen = f"SELECT {', '.join(columns)} FROM tracklets WHERE row = ?"
        wanted = range(len(self)) if rows is None else rows
        with self._unchanged() as database:
            return [Record(*database.execute(chosen, (int(row),)).fetchone()) for row in wanted]

    def known(self, column: str) -> set[str]:
        """What there is of a column, such as "identity", "camera" or "digest", without ""."""
        with self._unchanged() as database:
            found = database.execute(f"SELECT DISTINCT {column} FROM tracklets WHERE {column} != ''").fetchall()
        return {value for (value,) in found}

    @contextmanager
    def _unchanged(self) -> Iterator[sqlite3.Connection]:
        with _transaction(self.folder) as database:
            if _read(database).generation != self.manifest.generation:
                raise ValueError(f"{self.folder}: tracklets were removed from it in the meantime; try again.")
            yield database


def create(folder: Path, manifest: Manifest, wait: float = 0.0) -> None:
    """Makes a gallery without rows, in the place of one that never had any if a build that failed has left it.

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
        elif (before := _read(database)).rows or before.generation:
            raise ValueError(f"{folder} is a gallery already: add to it, or build in another folder.")
        (folder / manifest.files[1]).touch()
        _write(database, manifest)


def add(folder: Path, batches: Iterable[Batch], wait: float = 0.0, drawn: bool = False) -> int:
    """Adds to a gallery everything, or nothing at all, and returns how many tracklets that were.

    Args:
        folder: the gallery's folder.
        batches: (m, F) float32 embeddings of length 1 with m records each; read while other writers are locked out.
        wait: see :func:`create`.
        drawn: whether there are drawn people among them.

    Raises:
        ValueError: there is no gallery, another process writes to it, or it has one of the tracklets.
    """
    with _transaction(folder, wait) as database:
        before = _read(database)
        after = replace(before, rows=_append(folder, database, before, batches), drawn=before.drawn or drawn)
        if kind := kind_due(after.kind, after.rows, after.index):
            after = replace(after, index=build_index(folder, kind, _mapped(folder, after), after.recall_wanted))
        _write(database, after)
    _unlink(folder, before, after)
    return after.rows - before.rows


def remove(folder: Path, selection: Selection, wait: float = 0.0) -> int:
    """Removes tracklets with all that is known of them, and returns how many; their numbers are not given again.

    Whoever has the gallery open searches on in its state, but can no longer read its records. An approximate index goes
    too; the next addition builds another.

    Raises:
        ValueError: as in :func:`add`, or a number is not there.
    """
    with _transaction(folder, wait) as database:
        before = _read(database)
        gone = selection.rows(database)
        if not len(gone):
            return 0
        stay = np.delete(np.arange(before.rows), gone)
        after = replace(before, rows=len(stay), index=None, generation=before.generation + 1)
        old = _mapped(folder, before)
        with (folder / after.files[1]).open("wb") as file:
            for start in range(0, len(stay), ROWS_PER_STEP):
                file.write(old[stay[start : start + ROWS_PER_STEP]].data)
            file.flush()
            os.fsync(file.fileno())
        # Overwritten, and not merely forgotten.
        database.execute("PRAGMA secure_delete = ON")
        database.executemany("DELETE FROM tracklets WHERE row = ?", zip(gone.tolist(), strict=True))
        database.executemany("UPDATE tracklets SET row = ? WHERE row = ?", enumerate(stay.tolist()))
        _write(database, after)
    _unlink(folder, before, after)
    return len(gone)


def set_calibration(folder: Path, calibration: Calibration, wait: float = 0.0) -> None:
    """Sets the threshold of a gallery; ValueError as in :func:`add`."""
    with _transaction(folder, wait) as database:
        _write(database, replace(_read(database), calibration=calibration))


def _append(folder: Path, database: sqlite3.Connection, manifest: Manifest, batches: Iterable[Batch]) -> int:
    """Writes rows behind those that count, and returns how many there are then."""
    rows, dimensions = manifest.rows, manifest.dimensions
    insert = f"INSERT INTO tracklets (row, {', '.join(Record._fields[:-1])}) VALUES (?{', ?' * 10})"
    with (folder / manifest.files[1]).open("r+b") as file:
        file.truncate(rows * dimensions * 4)
        file.seek(0, os.SEEK_END)
        for embeddings, records in batches:
            fits = embeddings.shape == (len(records), dimensions)
            if not fits or not np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-3):
                raise ValueError(f"Embeddings of {embeddings.shape}: not of {dimensions} dimensions and length 1.")
            file.write(np.ascontiguousarray(embeddings, "<f4").data)
            database.executemany(insert, [(row, *record[:-1]) for row, record in enumerate(records, start=rows)])
            rows += len(records)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _unlink(folder: Path, before: Manifest, after: Manifest) -> None:
    """Removes files that are no longer named. Who has them open goes on with them, and no others have their names."""
    for name in set(before.files) - set(after.files):
        (folder / name).unlink(missing_ok=True)


def _mapped(folder: Path, manifest: Manifest) -> NDArray[np.float32]:
    shape = manifest.rows, manifest.dimensions
    if not manifest.rows:
        return np.empty(shape, np.float32)
    # A memmap would pass its subclass on to every array that is made from it.
    return np.asarray(np.memmap(folder / manifest.files[1], "<f4", "r", shape=shape), np.float32)


@contextmanager
def _transaction(folder: Path, wait: float | None = None, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A transaction, which an exception rolls back: the only writer's where ``wait`` is given, else a reader's."""
    path = folder / DATABASE
    if mode == "rw" and not path.is_file():
        if not folder.exists():
            raise ValueError(f"There is no gallery {folder}: build makes one.")
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
    start = time.monotonic()
    while not database.in_transaction:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or 0 <= wait <= time.monotonic() - start:
                raise ValueError(f"{folder}: {error}. If another process writes to it, --wait waits for it.") from error
    database.execute(f"PRAGMA busy_timeout = {_MOMENTS * 1000:.0f}")


def _read(database: sqlite3.Connection) -> Manifest:
    if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        raise ValueError("This gallery is of an earlier version: build it anew.")
    fields = json.loads(database.execute("SELECT state FROM manifest").fetchone()[0])
    fields["index"] = fields["index"] and IndexEntry(**fields["index"])
    fields["calibration"] = fields["calibration"] and Calibration(**fields["calibration"])
    return Manifest(**fields)


def _write(database: sqlite3.Connection, manifest: Manifest) -> None:
    database.execute("INSERT OR REPLACE INTO manifest VALUES (0, ?)", (json.dumps(asdict(manifest)),))
