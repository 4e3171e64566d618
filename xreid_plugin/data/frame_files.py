"""Frames out of picture files, one file a frame.

Whatever a file holds, it comes as three channels of eight bits: grey is repeated, a palette is looked up, CMYK is
converted, an alpha channel is dropped, and of sixteen bits the upper eight count. EXIF orientation is applied.

A large JPEG is not decoded in full: its decoder gives a half, a quarter or an eighth of the size at a fraction of the
work, and the least of these that is still as large as the frame wanted is what is resized. It is the mean of each block
of pixels, where bilinear resizing of the whole picture skips some. It differs from that by about one level of 255 in
the mean, mostly along edges, and lies nearer to a resizing that skips none, Pillow's for one, except at exactly twice
the size, where all three are within a level. A frame of less than twice the size wanted is decoded in full.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.tracklet import Tracklet

# Workers are the parallelism; OpenCV's own threads in each of them would only contend.
cv2.setNumThreads(0)

# The names of OpenCV's flags for reduced decoding imply grey or BGR; joined with RGB they mean the reduction alone.
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_LEAST_REDUCED, _MOST_REDUCED = min(_FLAGS), max(_FLAGS)

# A path and OpenCV's flags -> the picture, (h, w, 3) uint8 RGB; None where there is none.
Decode: TypeAlias = Callable[[str, int], np.ndarray | None]


class LooseFrames:
    """Reads the files that ``Tracklet.paths`` name (a :class:`~xreid_plugin.data.frame_reader.FrameReader`)."""

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Decodes frames and resizes those of another size bilinearly (method: Recipe).

        Args:
            tracklet: whose frames are wanted.
            indices: T positions in ``tracklet.paths``; a repeated one is decoded once.
            size: (H, W) in pixels.

        Returns:
            (T, H, W, 3) uint8, RGB, 0 to 255.

        Raises:
            FrameError: a file is missing or cannot be decoded.
        """
        return decode_clip(tracklet, indices, size, cv2.imread)


def decode_clip(
    tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int], decode: Decode
) -> np.ndarray:
    """Decodes and resizes as :meth:`LooseFrames.read`, whatever holds the pictures.

    Args:
        tracklet: whose frames are wanted.
        indices: T positions in ``tracklet.paths``; a repeated one is decoded once.
        size: (H, W) in pixels.
        decode: gives the picture that a path stands for.

    Returns:
        (T, H, W, 3) uint8, RGB, 0 to 255.

    Raises:
        FrameError: there is no picture.
    """
    clip = np.empty((len(indices), *size, 3), np.uint8)
    first_place: dict[int, int] = {}
    reduction = _LEAST_REDUCED
    for place, index in enumerate(map(int, indices)):
        if index in first_place:
            clip[place] = clip[first_place[index]]
            continue
        first_place[index] = place
        picture, reduction = _decode(_Source(tracklet.paths[index], tracklet.name, decode), size, reduction)
        if picture.shape[:2] == size:
            clip[place] = picture
        else:
            cv2.resize(picture, size[::-1], dst=clip[place], interpolation=cv2.INTER_LINEAR)
    return clip


class _Source(NamedTuple):
    """Where one picture comes from."""

    path: str
    tracklet: str
    decode: Decode

    def picture(self, reduction: int) -> np.ndarray:
        # Given an array to decode into, imread would leave it as it is where it fails, and not say so.
        picture = self.decode(self.path, _FLAGS[reduction])
        if picture is None:
            raise FrameError(
                f"Frame {self.path} of tracklet {self.tracklet} is missing or is not a readable picture. "
                "tools/check_dataset.py --deep looks for such frames before training."
            )
        return picture


def _decode(source: _Source, size: tuple[int, int], reduction: int) -> tuple[np.ndarray, int]:
    """A picture no smaller than need be, and its reduction.

    ``reduction`` is that of the frame before, likely right for this one. It saves decoding twice to learn the size, and
    has no influence on the outcome: a reduced side is rounded up, and halving it again rounds as reducing twice as much
    does.
    """
    picture = source.picture(reduction)
    if source.path.lower().endswith((".jpg", ".jpeg")):
        while reduction < _MOST_REDUCED and _covers(picture, (2 * size[0] - 1, 2 * size[1] - 1)):
            reduction *= 2
            picture = source.picture(reduction)
        while reduction > _LEAST_REDUCED and not _covers(picture, size):
            reduction //= 2
            picture = source.picture(reduction)
    elif reduction > _LEAST_REDUCED:
        reduction = _LEAST_REDUCED
        picture = source.picture(reduction)
    return picture, reduction


def _covers(picture: np.ndarray, size: tuple[int, int]) -> bool:
    return picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
