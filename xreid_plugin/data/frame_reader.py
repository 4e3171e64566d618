"""Sources of frames: what each provides, the one for picture files, and what stands in for a bad frame.

Shapes: T frames a clip, L frames a tracklet, H×W pixels of a clip, h×w those of a picture. All are uint8, RGB.

A frame is a JPEG or a PNG. Whatever it holds, it comes as three channels of eight bits: grey is repeated, a palette is
looked up, CMYK is converted, an alpha channel is dropped, and of sixteen bits the upper eight count. EXIF orientation
is applied. A file that was cut off does not count as a picture, whatever its decoder would make of it.
"""

import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from xreid_plugin.data.tracklet import Tracklet

# Workers are the parallelism; OpenCV's own threads in each of them would only contend.
cv2.setNumThreads(0)

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"
_MOST_BYTES = 64 << 20


class FrameError(RuntimeError):
    """A frame that is missing, damaged or not a picture; the message names the file and the tracklet."""


class FrameReader(ABC):
    """A source of frames: loose files, or a pack.

    A reader is pickled into the workers of a loader, so it opens its files lazily, in the process that reads.
    """

    @abstractmethod
    def pictures(self) -> AbstractContextManager[Callable[[str], np.ndarray]]:
        """Gives, within a ``with``, the frame that a tracklet names by a path, (h, w, 3).

        It is valid as long as the ``with`` lasts; OSError or ValueError says why there is none.
        """

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Decodes and resizes frames of one tracklet; a repeated index is decoded once (method: Recipe).

        Args:
            tracklet: the tracklet whose frames are wanted.
            indices: T positions in ``tracklet.paths``, each 0..L-1, in any order and repeated at will.
            size: (H, W); frames of another size are resized to it as :func:`resized` says.

        Returns:
            (T, H, W, 3), C-contiguous, and the caller's own to write to.

        Raises:
            FrameError: one of these frames is missing, cut off or not a picture.
        """
        clip = np.empty((len(indices), *size, 3), np.uint8)
        first_place: dict[int, int] = {}
        with self.pictures() as picture:
            for place, index in enumerate(map(int, indices)):
                first = first_place.setdefault(index, place)
                try:
                    clip[place] = resized(picture(tracklet.paths[index]), size) if first == place else clip[first]
                except (OSError, ValueError) as error:
                    reason = getattr(error, "strerror", None) or error
                    raise FrameError(
                        f"Frame {tracklet.paths[index]} of tracklet {tracklet.name} is not usable: {reason}. "
                        "tools/check_dataset.py --deep looks for such frames before training."
                    ) from error
        return clip


class LooseFrames(FrameReader):
    """Reads the picture files that ``Tracklet.paths`` name."""

    def pictures(self) -> AbstractContextManager[Callable[[str], np.ndarray]]:
        """See the base class."""
        return nullcontext(lambda path: decode(read_content(Path(path))))


def read_content(path: Path) -> bytes:
    """The bytes of a frame's file; ValueError if it is a folder or a pipe, or larger than 64 MiB, as no frame is."""
    found = path.stat()
    # To read a pipe is to wait for whoever writes to it.
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is a folder, a pipe or a device, and no file")
    if found.st_size > _MOST_BYTES:
        raise ValueError(f"it has {found.st_size:,} bytes, and a frame at most {_MOST_BYTES:,}")
    return path.read_bytes()


class ClipFaults(NamedTuple):
    """The bad frames of a clip that others replace: name of its tracklet, and their paths in the order asked for."""

    tracklet: str
    frames: list[str]


def read_substituting(
    reader: FrameReader, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, list[str]]:
    """Reads frames; the nearest readable frame of its tracklet replaces a bad one, the earlier of two equally near.

    Keeps nothing between two clips, so that a clip does not depend on which worker reads it after which other.

    Returns:
        What ``reader.read`` returns of these arguments; and the paths of the bad frames, in the order asked for.

    Raises:
        FrameError: no frame of the tracklet can be read.
    """
    try:
        return reader.read(tracklet, indices, size), []
    except FrameError as error:
        first_fault = error

    def is_readable(index: int) -> bool:
        try:
            reader.read(tracklet, [index], size)
        except FrameError:
            return False
        return True

    good = np.array([index for index in range(len(tracklet.paths)) if is_readable(index)])
    if not len(good):
        raise FrameError(f"No frame of tracklet {tracklet.name} can be read. {first_fault}")
    wanted = np.asarray(indices)
    found = good[np.abs(good - wanted[:, None]).argmin(axis=1)]
    bad = dict.fromkeys(tracklet.paths[index] for index in wanted[wanted != found].tolist())
    return reader.read(tracklet, found, size), list(bad)


def decode(content: bytes | memoryview) -> np.ndarray:
    """(h, w, 3): the picture whose file has this content.

    Raises:
        ValueError: it is neither JPEG nor PNG, is cut off, or has more pixels than OpenCV accepts.
    """
    # Other formats blow up a few bytes to gigabytes, or have decoders that few have tried.
    if content[: len(_JPEG)] != _JPEG and content[: len(_PNG)] != _PNG:
        raise ValueError("it is neither JPEG nor PNG")
    if _is_cut_off(content):
        raise ValueError("it was cut off")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # as of one with too many pixels
        raise ValueError(f"its decoder failed ({error.err or error})") from error
    if picture is None:
        raise ValueError("it is no readable picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes (h, w, 3) to (H, W, 3): larger pictures by the mean of the area of each pixel, others bilinearly.

    A picture that has the size is returned itself.
    """
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    # Bilinear resizing reads four pixels for each, and skips those between: thin stripes would alias.
    shrinks = height >= size[0] and width >= size[1]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _is_cut_off(content: bytes | memoryview) -> bool:
    """Looks at the last bytes alone, unless something follows the end of the picture."""
    if content[: len(_JPEG)] == _JPEG:
        # No code within a scan looks like either marker, while a preview in the headers has both.
        return content[-2:] != _JPEG_END and bytes(content).rfind(_JPEG_END) <= bytes(content).rfind(_JPEG_SCAN)
    return content[-8:] != _PNG_END and _PNG_END not in bytes(content)
