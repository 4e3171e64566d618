"""One tracklet's frames wherever they are: files, images in memory, or boxes in a video.

All give the same: clips of the frames asked for, at the size asked for. Shapes: L frames of a tracklet, C clips,
T frames a clip, H×W pixels.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import Modality, Tracklet

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

Picture: TypeAlias = Image.Image | NDArray[np.uint8]


class FootageError(ValueError):
    """Frames that cannot be read; the message names the file or the frame, and the remedy."""


@runtime_checkable
class Footage(Protocol):
    """The frames of one tracklet."""

    @property
    def name(self) -> str:
        """What messages call the tracklet."""
        ...

    def __len__(self) -> int:
        """L, at least 1."""
        ...

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """Clips one after another, so that only the current one is held.

        Args:
            rows: (C, T) frames of each clip, 0..L-1, not decreasing from one to the next.
            size: (H, W) in pixels.

        Yields:
            (T, H, W, 3) uint8, RGB.

        Raises:
            FootageError: a frame cannot be read.
            FrameError: a file is missing or is not a picture.
        """
        ...


class FileFrames:
    """Frames in picture files, read exactly as evaluation reads them."""

    def __init__(self, tracklet: Tracklet, reader: FrameReader | None = None) -> None:
        """
        Args:
            tracklet: a tracklet with at least one path.
            reader: the source of its frames; None reads loose files.

        Raises:
            FootageError: the tracklet has no path.
        """
        if not len(tracklet.paths):
            raise FootageError(f"Tracklet {tracklet.name} has no frame; it needs one at least.")
        self.tracklet = tracklet
        self.name = tracklet.name
        self._reader = LooseFrames() if reader is None else reader

    @classmethod
    def of_folder(cls, folder: Path) -> "FileFrames":
        """The pictures in a folder, in the order of their names, with numbers in them compared by value.

        Raises:
            FootageError: there is no such folder, or no picture in it.
        """
        if not folder.is_dir():
            raise FootageError(f"{folder}: there is no such folder; a tracklet is a folder of frames.")
        paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
        if not paths:
            raise FootageError(f"{folder} holds no picture; expected frames such as 0001.jpg.")
        paths.sort(key=lambda path: _natural(path.name))
        # Neither identity nor modality is known, and reading needs neither.
        return cls(Tracklet([str(path) for path in paths], 0, 0, Modality.VISIBLE, str(folder)))

    def __len__(self) -> int:
        return len(self.tracklet.paths)

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """See :class:`Footage`."""
        for row in rows:
            yield self._reader.read(self.tracklet, row, size)


class ImageFrames:
    """Frames in memory."""

    def __init__(self, images: Sequence[Picture] | NDArray[np.uint8], name: str = "images") -> None:
        """
        Args:
            images: PIL images; or arrays (h, w, 3) RGB or (h, w) grey, uint8; or one array (L, h, w, 3).
            name: what messages call them.

        Raises:
            FootageError: no image, or one of another kind, shape or number type.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise FootageError(f"{name}: an array of frames must be (frames, H, W, 3), not {images.shape}.")
        if not len(images):
            raise FootageError(f"{name}: there is no frame; a tracklet needs one at least.")
        self.name = name
        self._images = images
        for number, image in enumerate(images):
            _check_picture(image, f"{name}, frame {number}")

    def __len__(self) -> int:
        return len(self._images)

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """See :class:`Footage`."""
        for row in rows:
            yield np.stack([resized(_as_rgb(self._images[index]), size) for index in row])


def resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w, 3) to (H, W, 3), bilinearly, as files of frames are resized."""
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part)) if part[0] in "0123456789" else (1, part) for part in parts)


def _check_picture(image: Picture, what: str) -> None:
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise FootageError(f"{what} is a PIL image of mode {image.mode}; convert it to eight bits, such as RGB.")
        empty = 0 in image.size
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise FootageError(
                f"{what} is an array of {image.dtype}, {image.shape}; expected uint8 of (H, W, 3) in RGB, or (H, W)."
            )
        empty = image.size == 0
    else:
        raise FootageError(f"{what} is a {type(image).__name__}; expected a PIL image or a uint8 array.")
    if empty:
        raise FootageError(f"{what} has no pixels.")


def _as_rgb(image: Picture) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        # Files of frames are turned as their EXIF says, too.
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
