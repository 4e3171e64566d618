"""Frames out of picture files, one file a frame.

Whatever a file holds, it comes as three channels of eight bits: grey is repeated, a palette is looked up, CMYK is
converted, an alpha channel is dropped, and of sixteen bits the upper eight count. EXIF orientation is applied.

A file is read as a whole and inspected before it is decoded: one that was cut off does not count as a picture, whatever
its decoder would make of it, and neither does one that declares an absurd size.

A large JPEG is not decoded in full: its decoder gives a half, a quarter or an eighth of the size at a fraction of the
work, and the least of these that is still as large as the frame wanted is what is resized. It is the mean of each block
of pixels, where bilinear resizing of the whole picture skips some. It differs from that by about one level of 255 in
the mean, mostly along edges, and lies nearer to a resizing that skips none, Pillow's for one, except at exactly twice
the size, where all three are within a level. A frame of less than twice the size wanted is decoded in full.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np

from xreid_plugin.data.frame_reader import BadFrameError, FrameError
from xreid_plugin.data.image_header import JPEG_START, PictureError, refuse_huge
from xreid_plugin.data.links import LinkError
from xreid_plugin.data.picture_file import read_picture_file, refuse_cut_off
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

# A position in the tracklet's paths -> the file's bytes; raises PictureError or BadFrameError.
Content: TypeAlias = Callable[[int], bytes | memoryview]


class LooseFrames:
    """Reads the files that ``Tracklet.paths`` name (a :class:`~xreid_plugin.data.frame_reader.FrameReader`)."""

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Decodes frames and resizes those of another size bilinearly (method: Recipe).

        Args:
            tracklet: the tracklet whose frames are wanted.
            indices: T positions in ``tracklet.paths``; a repeated one is decoded once.
            size: (H, W) in pixels.

        Returns:
            (T, H, W, 3) uint8, RGB, 0 to 255.

        Raises:
            BadFrameError: a file is missing, cut off or not a picture.
            FrameError: a file is a link out of the tracklet's dataset.
        """

        def content(index: int) -> bytes:
            path = tracklet.paths[index]
            try:
                return read_picture_file(path, tracklet.home)
            except LinkError as error:
                raise FrameError(f"Frame {path} of tracklet {tracklet.name} is refused: {error}.") from error

        return decode_clip(tracklet, indices, size, content)


def decode_clip(
    tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int], content: Content
) -> np.ndarray:
    """Decodes and resizes as :meth:`LooseFrames.read` does, whatever holds the pictures.

    Args:
        tracklet: the tracklet whose frames are wanted.
        indices: T positions in ``tracklet.paths``; a repeated one is decoded once.
        size: (H, W) in pixels.
        content: returns the bytes of a frame's file.

    Returns:
        (T, H, W, 3) uint8, RGB, 0 to 255.

    Raises:
        BadFrameError: a frame has no readable picture.
    """
    clip = np.empty((len(indices), *size, 3), np.uint8)
    first_place: dict[int, int] = {}
    reduction = _LEAST_REDUCED
    for place, index in enumerate(map(int, indices)):
        if index in first_place:
            clip[place] = clip[first_place[index]]
            continue
        first_place[index] = place
        try:
            picture, reduction = _decode(content(index), size, reduction)
        except PictureError as error:
            raise BadFrameError(
                f"Frame {tracklet.paths[index]} of tracklet {tracklet.name} is not usable: {error}. "
                "tools/check_dataset.py --deep looks for such frames before training.",
                index,
            ) from error
        if picture.shape[:2] == size:
            clip[place] = picture
        else:
            cv2.resize(picture, size[::-1], dst=clip[place], interpolation=cv2.INTER_LINEAR)
    return clip


def decode_whole(content: bytes | memoryview) -> np.ndarray:
    """A picture at its own size, by the rules of training.

    Args:
        content: the bytes of its file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PictureError: it is cut off, declares an absurd size, or is not a picture.
    """
    refuse_cut_off(content)
    refuse_huge(content)
    return _picture(np.frombuffer(content, np.uint8), _LEAST_REDUCED)


def _decode(content: bytes | memoryview, size: tuple[int, int], reduction: int) -> tuple[np.ndarray, int]:
    """A picture no smaller than need be, and its reduction.

    ``reduction`` is that of the frame before, likely right for this one. It saves decoding twice to learn the size, and
    has no influence on the outcome: a reduced side is rounded up, and halving it again rounds as reducing twice as much
    does.
    """
    if content[:2] != JPEG_START:
        return decode_whole(content), _LEAST_REDUCED
    refuse_cut_off(content)
    refuse_huge(content)
    encoded = np.frombuffer(content, np.uint8)
    picture = _picture(encoded, reduction)
    while reduction < _MOST_REDUCED and _covers(picture, (2 * size[0] - 1, 2 * size[1] - 1)):
        reduction *= 2
        picture = _picture(encoded, reduction)
    while reduction > _LEAST_REDUCED and not _covers(picture, size):
        reduction //= 2
        picture = _picture(encoded, reduction)
    return picture, reduction


def _picture(encoded: np.ndarray, reduction: int) -> np.ndarray:
    try:
        picture = cv2.imdecode(encoded, _FLAGS[reduction])
    except cv2.error as error:
        raise PictureError("its decoder failed") from error
    if picture is None:
        raise PictureError("it is no readable picture")
    return picture


def _covers(picture: np.ndarray, size: tuple[int, int]) -> bool:
    return picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
