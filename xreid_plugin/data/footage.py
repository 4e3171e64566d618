"""Tracklets of any origin: a dataset's, a folder of frames, or images in memory.

Each is a :class:`Tracklet` and the reader of its frames. :mod:`xreid_plugin.data.tracks` reads videos.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.tracks import by_value

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

Picture: TypeAlias = Image.Image | NDArray[np.uint8]

# A folder of frames; images, or one (L, H, W, 3) uint8 RGB array of them.
FrameSource: TypeAlias = str | Path | Sequence[Picture] | NDArray[np.uint8]


class TrackletInput(NamedTuple):
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
) -> tuple[Tracklet, FrameReader, int | None]:
    """A tracklet, the reader of its frames, and the training set's number of its camera or None.

    ``reader`` is that of a dataset's tracklets; None reads loose files.

    Raises:
        ValueError: frames that cannot be read; the message gives ``number``, that of the tracklet.
    """
    if isinstance(tracklet, Tracklet):
        return tracklet, reader or LooseFrames(), tracklet.camid
    source, camera = tracklet if isinstance(tracklet, TrackletInput) else TrackletInput(tracklet)
    try:
        if isinstance(source, str | Path):
            return folder_tracklet(Path(source)), LooseFrames(), camera
        if isinstance(source, np.ndarray | list | tuple):
            images = ImagesInMemory(source)
            return _unlabelled(list(map(str, range(len(images)))), f"tracklet {number}"), images, camera
        raise ValueError(f"it is a {type(source).__name__}; expected a folder or images.")
    except ValueError as error:
        raise ValueError(f"Tracklet {number}: {error}") from error


def folder_tracklet(folder: Path) -> Tracklet:
    """The pictures in a folder, in the order of their names, with numbers in them compared by value."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; a tracklet is a folder of frames.")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise ValueError(f"{folder} holds no picture; expected frames such as 0001.jpg.")
    return _unlabelled([str(path) for path in sorted(paths, key=lambda path: by_value(path.name))], str(folder))


def _unlabelled(paths: Sequence[str], name: str) -> Tracklet:
    # Neither identity nor modality is known, and reading needs neither.
    return Tracklet(paths, 0, 0, Modality.VISIBLE, name)


class ImagesInMemory(FrameReader):
    """Reads images whose paths are their numbers, "0" and on."""

    def __init__(self, images: Sequence[Picture] | NDArray[np.uint8]) -> None:
        """``images``: of PIL; or arrays (h, w, 3) RGB or (h, w) grey, uint8; or one array (L, h, w, 3)."""
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise ValueError(f"an array of frames must be (frames, H, W, 3), not {images.shape}.")
        self._pictures = [_as_rgb(image, number) for number, image in enumerate(images)]
        if not self._pictures:
            raise ValueError("there is no frame; a tracklet needs one at least.")

    def __len__(self) -> int:
        return len(self._pictures)

    def pictures(self) -> AbstractContextManager[Callable[[str], np.ndarray]]:
        """See the base class."""
        return nullcontext(lambda path: self._pictures[int(path)])


def _as_rgb(image: Picture, number: int) -> NDArray[np.uint8]:
    # Eight bits would cut off what PIL's modes of more, I and F, hold.
    if isinstance(image, Image.Image) and image.mode[0] not in "IF":
        # Files of frames are turned as their EXIF says, too.
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        if image.ndim == 3 and image.shape[2] == 3:
            return np.ascontiguousarray(image)
    raise ValueError(f"frame {number}: expected a PIL image of eight bits, or uint8 of (H, W, 3) in RGB or (H, W).")
