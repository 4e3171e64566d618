"""The frames of one tracklet wherever they are, in files or in memory: clips of those asked for, at the size asked for.

:mod:`xreid_plugin.data.tracks` reads videos. Shapes: L frames of a tracklet, C clips, T frames a clip, H×W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames, resized
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.tracks import by_value

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

Picture: TypeAlias = Image.Image | NDArray[np.uint8]

# (C, T) frames of each clip, 0..L-1, and (H, W) in pixels -> clips (T, H, W, 3) uint8, RGB, one after another.
Clips: TypeAlias = Callable[[NDArray[np.int64], tuple[int, int]], Iterator[NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Footage:
    """The frames of one tracklet.

    Attributes:
        name: what messages call it.
        length: L, at least 1.
        clips: reads clips, of which only the current one is held; FrameError for a file that is missing or no picture.
    """

    name: str
    length: int
    clips: Clips


# A folder of frames; images, or one (L, H, W, 3) uint8 RGB array of them.
FrameSource: TypeAlias = str | Path | Sequence[Picture] | NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TrackletInput:
    """A tracklet to embed.

    Attributes:
        frames: where its frames are.
        model_camera: the number, in the model's training set, of the camera that saw it, whose embedding is added; None
            for a camera that was not in training, whatever number it has elsewhere.
    """

    frames: FrameSource
    model_camera: int | None = None


def open_tracklet(
    tracklet: FrameSource | Tracklet | TrackletInput, number: int, reader: FrameReader | None
) -> tuple[Footage, int | None]:
    """The frames of a tracklet, and the training set's number of its camera or None.

    ``reader`` is the source of the frames of a dataset's tracklet; None reads loose files.

    Raises:
        ValueError: frames that cannot be read; the message gives ``number``, that of the tracklet.
    """
    if isinstance(tracklet, Tracklet):
        return file_footage(tracklet, reader), tracklet.camid
    given = tracklet if isinstance(tracklet, TrackletInput) else TrackletInput(tracklet)
    try:
        return _footage(given.frames, f"tracklet {number}"), given.model_camera
    except ValueError as error:
        raise ValueError(f"Tracklet {number}: {error}") from error


def _footage(source: FrameSource, name: str) -> Footage:
    if isinstance(source, str | Path):
        return file_footage(folder_tracklet(Path(source)))
    if isinstance(source, np.ndarray | list | tuple):
        return image_footage(source, name)
    raise ValueError(f"it is a {type(source).__name__}; expected a folder or images.")


def file_footage(tracklet: Tracklet, reader: FrameReader | None = None) -> Footage:
    """Frames in picture files, read exactly as evaluation reads them; by ``reader``, None for loose files."""
    source = reader or LooseFrames()
    return Footage(
        tracklet.name, len(tracklet.paths), lambda rows, size: (source.read(tracklet, row, size) for row in rows)
    )


def folder_tracklet(folder: Path) -> Tracklet:
    """The pictures in a folder, in the order of their names, with numbers in them compared by value."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; a tracklet is a folder of frames.")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise ValueError(f"{folder} holds no picture; expected frames such as 0001.jpg.")
    paths.sort(key=lambda path: by_value(path.name))
    # Neither identity nor modality is known, and reading needs neither.
    return Tracklet([str(path) for path in paths], 0, 0, Modality.VISIBLE, str(folder))


def image_footage(images: Sequence[Picture] | NDArray[np.uint8], name: str = "images") -> Footage:
    """Frames in memory: PIL images; or arrays (h, w, 3) RGB or (h, w) grey, uint8; or one array (L, h, w, 3)."""
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise ValueError(f"{name}: an array of frames must be (frames, H, W, 3), not {images.shape}.")
    pictures = [_as_rgb(image, f"{name}, frame {number}") for number, image in enumerate(images)]
    if not pictures:
        raise ValueError(f"{name}: there is no frame; a tracklet needs one at least.")
    return Footage(
        name,
        len(pictures),
        lambda rows, size: (np.stack([resized(pictures[index], size) for index in row]) for row in rows),
    )


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
    raise ValueError(f"{what}: expected a PIL image of eight bits, or uint8 of (H, W, 3) in RGB or (H, W).")
