"""Where a person is in the frames of a video: boxes, from an array or a CSV file."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xreid_plugin.data.footage import FootageError

COLUMNS = ("frame", "x1", "y1", "x2", "y2")
_FORM = "expected the columns frame,x1,y1,x2,y2, one line per frame, with increasing frames"


@dataclass(frozen=True, eq=False)
class Boxes:
    """One box in each of L frames.

    Attributes:
        frames: (L,) int64, numbers of the video's frames from 0, increasing.
        corners: (L, 4) float64, x1, y1, x2, y2 in pixels: left, top, right, bottom; x1 < x2, y1 < y2.
    """

    frames: NDArray[np.int64]
    corners: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of(cls, values: ArrayLike, name: str = "boxes") -> "Boxes":
        """Builds boxes from numbers.

        Args:
            values: (L, 5) of frame, x1, y1, x2, y2; or (L, 4) of x1, y1, x2, y2 in frames 0..L-1.
            name: what messages call them.

        Raises:
            FootageError: another shape, no row, or a row that is not a box; the message gives its number.
        """
        try:
            table = np.asarray(values, np.float64)
        except (TypeError, ValueError) as error:
            raise FootageError(f"{name}: {error}; expected numbers of shape (frames, 4) or (frames, 5).") from error
        if table.ndim != 2 or table.shape[1] not in (4, 5) or not len(table):
            raise FootageError(
                f"{name} have shape {table.shape}; expected (frames, 4) or (frames, 5), one row or more."
            )
        if table.shape[1] == 4:
            table = np.column_stack([np.arange(len(table)), table])
        return cls._checked(table, lambda row: f"{name}, row {row}")

    @classmethod
    def read(cls, path: Path) -> "Boxes":
        """Reads a CSV file that begins with a line of the columns' names; further columns are skipped.

        Raises:
            FootageError: there is no such file, or a line that is not a box; the message gives its number.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise FootageError(f"{path}: boxes cannot be read ({error}); {_FORM}.") from error
        reader = csv.DictReader(text.splitlines())
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise FootageError(f"{path}, line 1: there is no column {', '.join(missing)}; {_FORM}.")
        numbered = list(_numbers(reader, path))
        if not numbered:
            raise FootageError(f"{path} has no box; {_FORM}.")
        table = np.array([numbers for _, numbers in numbered])
        return cls._checked(table, lambda row: f"{path}, line {numbered[row][0]}")

    @classmethod
    def _checked(cls, table: NDArray[np.float64], place: Callable[[int], str]) -> "Boxes":
        frames, corners = table[:, 0], table[:, 1:]
        whole = np.isfinite(table).all(1) & (frames >= 0) & (frames == np.floor(frames)) & (frames < 2**53)
        for bad, fault in (
            (~whole, "needs a whole number of a frame, from 0, and four finite numbers"),
            ((corners[:, 0] >= corners[:, 2]) | (corners[:, 1] >= corners[:, 3]), "needs x1 < x2 and y1 < y2"),
            (np.append(False, np.diff(frames) <= 0), "is not after the frame before it; sort them, one box a frame"),
        ):
            if bad.any():
                row = int(np.argmax(bad))
                raise FootageError(f"{place(row)}: the box {table[row].tolist()} {fault}.")
        return cls(frames.astype(np.int64), corners)


def _numbers(reader: "csv.DictReader[str]", path: Path) -> Iterator[tuple[int, list[float]]]:
    """The number in the file and the five numbers of every line."""
    try:
        for line in reader:
            yield reader.line_num, [float(line[column] or "") for column in COLUMNS]
    except (csv.Error, TypeError, ValueError) as error:
        raise FootageError(f"{path}, line {reader.line_num}: {error}; {_FORM}.") from error
