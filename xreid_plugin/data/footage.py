"""One tracklet's frames wherever they are: files or images in memory; boxes in a video are in a module of their own.

All give the same: clips of the frames asked for, at the size asked for. Shapes: L frames of a tracklet, C clips,
T frames a clip, H×W pixels.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames, resized
from xreid_plugin.data.tracklet import Modality, Tracklet

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

Picture: TypeAlias = Image.Image | NDArray[np.uint8]


class FootageError(ValueError):
    """Frames that cannot be read; the message names the file or the frame, and the remedy."""


@runtime_checkable
class Footage(Protocol):
    """The frames of one tracklet; ``len`` is L, at least 1, and ``name`` what messages call it."""

    name: str

    def __len__(self) -> int: ...

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """Clips one after another, so that only the current one is held.

        Args:
            rows: (C, T) frames of each clip, 0..L-1; a clip's earliest frame is not before that of the clip before it.
            size: (H, W) in pixels.

        Yields:
            (T, H, W, 3) uint8, RGB.

        Raises:
            FootageError: a frame cannot be read.
            FrameError: a file is missing or is not a picture.
        """
        ...


class FileFrames:
    """Frames in picture files, read exactly as evaluation reads them (a :class:`Footage`)."""

    def __init__(self, tracklet: Tracklet, reader: FrameReader | None = None) -> None:
        """
        Args:
            tracklet: a tracklet with at least one path.
            reader: the source of its frames; None reads loose files.
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
        # Every second part is a number.
        paths.sort(key=lambda path: [int(p) if i % 2 else p for i, p in enumerate(re.split(r"([0-9]+)", path.name))])
        # Neither identity nor modality is known, and reading needs neither.
        return cls(Tracklet([str(path) for path in paths], 0, 0, Modality.VISIBLE, str(folder)))

    def __len__(self) -> int:
        return len(self.tracklet.paths)

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """See :class:`Footage`."""
        return (self._reader.read(self.tracklet, row, size) for row in rows)


class ImageFrames:
    """Frames in memory (a :class:`Footage`)."""

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
        self.name = name
        self._images = [_as_rgb(image, f"{name}, frame {number}") for number, image in enumerate(images)]
        if not self._images:
            raise FootageError(f"{name}: there is no frame; a tracklet needs one at least.")

    def __len__(self) -> int:
        return len(self._images)

    def clips(self, rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """See :class:`Footage`."""
        return (np.stack([resized(self._images[index], size) for index in row]) for row in rows)


def _as_rgb(image: Picture, what: str) -> NDArray[np.uint8]:
    # Eight bits would cut off what PIL's modes of more, I and F, hold.
    if isinstance(image, Image.Image) and image.mode[0] not in "IF":
        # Files of frames are turned as their EXIF says, too.
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        if image.ndim == 3 and image.shape[2] == 3:
            return np.ascontiguousarray(image)
    raise FootageError(f"{what}: expected a PIL image of eight bits, or uint8 of (H, W, 3) in RGB or (H, W).")
