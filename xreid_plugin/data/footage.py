"""The frames of one tracklet wherever they are: a folder, images in memory, or boxes in a video.

All give the same: clips of the frames asked for, at the size asked for. Shapes: L frames of a tracklet, C clips,
T frames a clip, H×W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames, resized
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.tracks import TrackClips, by_value, opened_video

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
        clips: reads clips, of which only the current one is held; a clip's earliest frame must not be before that of
            the clip before it. Raises FrameError for a file that is missing or not a picture, and ValueError for a
            frame of a video that cannot be read.
    """

    name: str
    length: int
    clips: Clips


@dataclass(frozen=True, eq=False)
class VideoTracklet:
    """A person in a video.

    Attributes:
        video: a video file of any kind that OpenCV reads.
        boxes: where the person is: (L, 5) of frame, x1, y1, x2, y2 in pixels: left, top, right, bottom; frames count
            from 0 and increase, x1 < x2, y1 < y2. ``read_tracks`` and ``embed_tracks`` take files of tracks.
    """

    video: str | Path
    boxes: ArrayLike


# A folder of frames; images, or one (L, H, W, 3) uint8 RGB array of them; or boxes in a video.
FrameSource: TypeAlias = str | Path | Sequence[Picture] | NDArray[np.uint8] | VideoTracklet


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
    if isinstance(source, VideoTracklet):
        return video_footage(Path(source.video), source.boxes)
    if isinstance(source, str | Path):
        return file_footage(folder_tracklet(Path(source)))
    if isinstance(source, np.ndarray | list | tuple):
        return image_footage(source, name)
    raise ValueError(f"it is a {type(source).__name__}; expected a folder, images or a VideoTracklet.")


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


def video_footage(video: Path, boxes: ArrayLike) -> Footage:
    """Boxes in a video file, (L, 5) as of :class:`VideoTracklet`, read as :class:`TrackClips` reads them.

    Raises:
        ValueError: a row is not a box, or there is no such video; the message gives the row, from 0.
    """
    table = np.asarray(boxes, np.float64)
    if table.ndim != 2 or table.shape[1] != 5 or not len(table):
        raise ValueError(f"the shape of the boxes is {table.shape}; expected (frames, 5).")
    good = np.isfinite(table).all(1) & (table[:, 0] == np.floor(table[:, 0]))
    good &= np.diff(table[:, 0], prepend=-1) > 0
    good &= (table[:, 1:3] < table[:, 3:5]).all(1)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"boxes, row {row}: {table[row].tolist()} is no box; expected the whole number of a frame, after that of "
            "the row before, and x1 < x2, y1 < y2."
        )
    with opened_video(video):
        pass

    def clips(rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        one = TrackClips(video, [table], [rows], size)
        for _, clip in one:
            if one.ended is None:
                yield clip
        if one.ended is not None:
            raise ValueError(f"{video}: frame {one.ended}, from 0, cannot be read, though a box is in it.")

    return Footage(str(video), len(table), clips)
