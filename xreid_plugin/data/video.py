"""A tracklet in a video: boxes, from an array or a CSV file, and what they cut out of the frames, read as a stream."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from xreid_plugin.data.footage import FootageError
from xreid_plugin.data.frame_reader import resized

COLUMNS = ("frame", "x1", "y1", "x2", "y2")


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
            FootageError: another shape, no row, or a row that is not a box; the message gives its number, from 0.
        """
        table = np.asarray(values, np.float64)
        if table.ndim != 2 or table.shape[1] not in (4, 5) or not len(table):
            raise FootageError(f"{name}: the shape is {table.shape}; expected (frames, 4) or (frames, 5).")
        if table.shape[1] == 4:
            table = np.column_stack([np.arange(len(table)), table])
        frames, corners = table[:, 0], table[:, 1:]
        good = np.isfinite(table).all(1) & (frames >= 0) & (frames == np.floor(frames))
        good &= (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
        good[1:] &= frames[1:] > frames[:-1]
        if not good.all():
            row = int(np.argmin(good))
            raise FootageError(
                f"{name}, row {row}: {table[row].tolist()} is no box; expected the whole number of a frame, after that "
                "of the row before, and x1 < x2, y1 < y2."
            )
        return cls(frames.astype(np.int64), corners)

    @classmethod
    def read(cls, path: Path) -> "Boxes":
        """Reads a CSV file that begins with a line of the columns' names; further columns are skipped.

        Raises:
            FootageError: there is no such file, or a row that is not a box.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = [[float(row[column]) for column in COLUMNS] for row in csv.DictReader(file)]
        except (OSError, KeyError, TypeError, ValueError) as error:
            form = f"expected a line of the columns {','.join(COLUMNS)}, then one line of numbers per frame"
            raise FootageError(f"{path}: {error}; {form}.") from error
        return cls.of(rows, str(path))


class VideoFrames:
    """Boxes in a video file, as the frames of a tracklet (a :class:`~xreid_plugin.data.footage.Footage`).

    The video is read once, front to back, and only the frames of one clip are held. Seeking would be quicker, but
    in many files it does not land on the frame asked for.
    """

    def __init__(self, video: Path, boxes: Boxes) -> None:
        """
        Args:
            video: a file of any kind that OpenCV reads.
            boxes: boxes in pixels of its frames; what lies outside a frame is cut off.

        Raises:
            FootageError: there is no such file, or it is not a video.
        """
        with _opened(video):
            pass
        self.video = video
        self.boxes = boxes
        self.name = str(video)

    def __len__(self) -> int:
        return len(self.boxes)

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """See :class:`~xreid_plugin.data.footage.Footage`."""
        pictures = self._pictures(np.unique(rows), size)
        held: dict[int, NDArray[np.uint8]] = {}
        for row in rows:
            held = {index: picture for index, picture in held.items() if index >= row.min()}
            while row.max() not in held:
                index, picture = next(pictures)
                held[index] = picture
            yield np.stack([held[index] for index in row.tolist()])

    def _pictures(self, indices: NDArray[np.int64], size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each box once, in order."""
        with _opened(self.video) as capture:
            position = 0
            for index in indices.tolist():
                number = int(self.boxes.frames[index])
                while position <= number and capture.grab():
                    position += 1
                there, frame = capture.retrieve() if position > number else (False, None)
                if not there:
                    raise FootageError(f"{self.video}: frame {number}, from 0, cannot be read; {position} could.")
                person = cv2.cvtColor(self._cut(np.asarray(frame, np.uint8), index), cv2.COLOR_BGR2RGB)
                yield index, resized(np.asarray(person, np.uint8), size)

    def _cut(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        limits = frame.shape[1::-1]
        corners = self.boxes.corners[index]
        x1, y1 = np.clip(np.floor(corners[:2]), 0, limits).astype(int)
        x2, y2 = np.clip(np.ceil(corners[2:]), 0, limits).astype(int)
        if x1 == x2 or y1 == y2:
            raise FootageError(
                f"{self.video}, frame {self.boxes.frames[index]}: the box {corners.tolist()} lies outside the picture "
                f"of {limits[0]}x{limits[1]} pixels; boxes are x1,y1,x2,y2 in pixels."
            )
        return frame[y1:y2, x1:x2]


@contextmanager
def _opened(video: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(video))
    try:
        if not capture.isOpened():
            raise FootageError(
                f"{video} is not there, or not a video that OpenCV can read; convert it, to MP4 for one."
            )
        yield capture
    finally:
        capture.release()
