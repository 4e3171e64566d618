"""Rows of a gallery on disk: a folder of three arrays, written once and never changed.

embeddings.npy   (n, F) float32, rows of length 1
records.npy      (b,) uint8, the records one after another, each a line of JSON
bounds.npy       (n + 1,) int64; record i is records[bounds[i] : bounds[i + 1]]
"""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from xreid_plugin.gallery.manifest import SegmentEntry
from xreid_plugin.gallery.records import GalleryError, Record

# Number of rows that are copied at a time: some tens of megabytes.
COPY_ROWS = 8192


class Segment:
    """The rows of one folder, memory-mapped, and not read before they are needed.

    Attributes:
        embeddings: (n, F) float32.
    """

    def __init__(self, folder: Path, entry: SegmentEntry, dimensions: int) -> None:
        """
        Args:
            folder: the folder that holds the segments' folders.
            entry: its entry in the manifest.
            dimensions: F.

        Raises:
            FileNotFoundError: it is not there.
            GalleryError: it is damaged.
        """
        home = folder / entry.name
        self.embeddings = _mapped(home / "embeddings.npy", np.float32, (entry.rows, dimensions))
        self._bounds = _mapped(home / "bounds.npy", np.int64, (entry.rows + 1,))
        self._records = _mapped(home / "records.npy", np.uint8, (int(self._bounds[-1]),))
        self._home = home

    def __len__(self) -> int:
        return len(self.embeddings)

    def line(self, row: int) -> bytes:
        """The record of a row, as it is on disk."""
        return self._records[self._bounds[row] : self._bounds[row + 1]].tobytes()

    def record(self, row: int) -> Record:
        """The record of a row.

        Raises:
            GalleryError: it is damaged.
        """
        try:
            return Record.from_json(self.line(row))
        except ValueError as error:
            raise GalleryError(f"{self._home}, row {row}: {error}.") from error

    def batches(self) -> Iterator[tuple[NDArray[np.float32], list[bytes]]]:
        """All rows, some at a time."""
        for start in range(0, len(self), COPY_ROWS):
            stop = min(start + COPY_ROWS, len(self))
            yield self.embeddings[start:stop], [self.line(row) for row in range(start, stop)]


def write_segment(home: Path, batches: Iterable[tuple[NDArray[np.float32], list[bytes]]], dimensions: int) -> int:
    """Writes a segment; it is not used before a manifest names it.

    Args:
        home: the folder to make.
        batches: (n, F) embeddings with n records each; held only until they are written.
        dimensions: F.

    Returns:
        The number of rows.

    Raises:
        GalleryError: embeddings of another shape, or that are not of length 1.
    """
    home.mkdir(parents=True)
    rows, ends, lines = 0, [0], bytearray()
    with (home / "embeddings.npy").open("wb") as file:
        header = _write_header(file, 0, dimensions)
        for embeddings, records in batches:
            _check(embeddings, len(records), dimensions)
            file.write(np.ascontiguousarray(embeddings, "<f4").tobytes())
            rows += len(embeddings)
            for line in records:
                lines += line
                ends.append(len(lines))
        file.seek(0)
        # numpy leaves space in a header for the first axis to grow.
        if _write_header(file, rows, dimensions) != header:
            raise GalleryError(f"{home}: {rows} rows do not fit the header of an .npy file.")
        _to_disk(file)
    for name, values in (("bounds", np.array(ends, np.int64)), ("records", np.frombuffer(bytes(lines), np.uint8))):
        with (home / f"{name}.npy").open("wb") as file:
            np.save(file, values, allow_pickle=False)
            _to_disk(file)
    return rows


def _write_header(file: io.BufferedWriter, rows: int, dimensions: int) -> int:
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)})
    return file.tell()


def _to_disk(file: io.BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check(embeddings: NDArray[np.float32], records: int, dimensions: int) -> None:
    if embeddings.shape != (records, dimensions):
        raise GalleryError(
            f"{records} embeddings of shape {embeddings.shape} do not fit the gallery: it has {dimensions} dimensions."
        )
    lengths = np.linalg.norm(embeddings, axis=1)
    # Written so that NaN is refused as well.
    wrong = ~(np.abs(lengths - 1) < 1e-3)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise GalleryError(f"Embedding {row} has the length {lengths[row]}; it must be finite and of length 1.")


def _mapped(path: Path, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise GalleryError(f"{path} is damaged: {error}.") from error
    if array.dtype != dtype or array.shape != shape:
        raise GalleryError(
            f"{path} is damaged: it is {array.dtype} of {array.shape}, expected {np.dtype(dtype)} {shape}."
        )
    # A plain view: a memmap would pass its subclass on to every array that is made from it.
    return np.asarray(array)
