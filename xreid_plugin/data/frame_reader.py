"""What every source of frames provides: the pixels of a tracklet's frames, at the size asked for."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from xreid_plugin.data.tracklet import Tracklet


class FrameError(RuntimeError):
    """Frames that cannot be read; the message names the file and the tracklet."""


class BadFrameError(FrameError):
    """One frame that is missing, damaged or not a picture, while others of its tracklet may be sound.

    Attributes:
        index: its position in the tracklet's paths.
    """

    def __init__(self, message: str, index: int = -1) -> None:
        """
        Args:
            message: the text, which names the file and the tracklet.
            index: the position; lost where a worker of a loader passes the error on, as text.
        """
        super().__init__(message)
        self.index = index


class FrameReader(Protocol):
    """A source of frames: loose files, or a packed store.

    A reader is pickled into the workers of a loader, so it opens its files lazily, in the process that reads.
    """

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Decodes and resizes frames of one tracklet; a repeated index is decoded once.

        Args:
            tracklet: the tracklet whose frames are wanted.
            indices: T positions in ``tracklet.paths``, each 0..L-1, in any order and repeated at will.
            size: (H, W) in pixels; frames of another size are resized to it.

        Returns:
            (T, H, W, 3) uint8, RGB, 0 to 255, C-contiguous, and the caller's own to write to.

        Raises:
            BadFrameError: one of these frames is missing, cut off or not a picture.
            FrameError: no frame can be read, whichever is asked for; or one is a link out of its dataset.
        """
        ...
