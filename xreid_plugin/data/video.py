"""A tracklet in a video: what its boxes cut out of the frames, read as a stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.boxes import Boxes
from xreid_plugin.data.footage import FootageError, resized


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
        if not video.is_file():
            raise FootageError(f"{video}: there is no such video.")
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
            held = {index: picture for index, picture in held.items() if index >= row[0]}
            while row[-1] not in held:
                index, picture = next(pictures)
                held[index] = picture
            yield np.stack([held[index] for index in row.tolist()])

    def _pictures(self, indices: NDArray[np.int64], size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each box once, in order."""
        with _opened(self.video) as capture:
            position = 0
            for index in indices.tolist():
                number = int(self.boxes.frames[index])
                while position <= number:
                    if not capture.grab():
                        raise FootageError(
                            f"{self.video} ends, or cannot be read further, after {position} frames; the boxes ask for "
                            f"frame {number}, counted from 0."
                        )
                    position += 1
                there, frame = capture.retrieve()
                if not there:
                    raise FootageError(f"{self.video}: frame {number} cannot be decoded.")
                person = cv2.cvtColor(self._cut(np.asarray(frame, np.uint8), index), cv2.COLOR_BGR2RGB)
                yield index, resized(np.asarray(person, np.uint8), size)

    def _cut(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        height, width = frame.shape[:2]
        corners = self.boxes.corners[index]
        x1, y1 = np.clip(np.floor(corners[:2]), 0, (width, height)).astype(int)
        x2, y2 = np.clip(np.ceil(corners[2:]), 0, (width, height)).astype(int)
        if x1 == x2 or y1 == y2:
            raise FootageError(
                f"{self.video}, frame {self.boxes.frames[index]}: the box {corners.tolist()} lies outside the picture "
                f"of {width}x{height} pixels; boxes are x1,y1,x2,y2 in pixels."
            )
        return frame[y1:y2, x1:x2]


@contextmanager
def _opened(video: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(video))
    try:
        if not capture.isOpened():
            raise FootageError(f"{video} is not a video that OpenCV can read; convert it, to MP4 for one.")
        yield capture
    finally:
        capture.release()
