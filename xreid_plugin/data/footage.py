"""The frames of one tracklet wherever they are: a folder, images in memory, or boxes in a video.

All give the same: clips of the frames asked for, at the size asked for. Shapes: L frames of a tracklet, C clips,
T frames a clip, H×W pixels.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames, resized
from xreid_plugin.data.tracklet import Modality, Tracklet

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
BOX_COLUMNS = ("frame", "x1", "y1", "x2", "y2")

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
        boxes: where the person is, as :func:`boxes_of` takes it: a CSV file or numbers.
    """

    video: str | Path
    boxes: str | Path | ArrayLike


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
    """Checks a tracklet and opens its frames.

    Args:
        tracklet: a source of frames without or with a camera, or a dataset's tracklet with its own.
        number: the tracklet's number, for messages.
        reader: the source of the frames of a dataset's tracklet; None reads loose files.

    Returns:
        Its frames, and the training set's number of its camera or None.

    Raises:
        ValueError: frames that cannot be read; the message gives the tracklet's number.
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
        return video_footage(Path(source.video), boxes_of(source.boxes))
    if isinstance(source, str | Path):
        return file_footage(folder_tracklet(Path(source)))
    if isinstance(source, np.ndarray | list | tuple):
        return image_footage(source, name)
    raise ValueError(f"it is a {type(source).__name__}; expected a folder, images or a VideoTracklet.")


def file_footage(tracklet: Tracklet, reader: FrameReader | None = None) -> Footage:
    """Frames in picture files, read exactly as evaluation reads them; by ``reader``, None for loose files."""
    source = LooseFrames() if reader is None else reader
    return Footage(
        tracklet.name, len(tracklet.paths), lambda rows, size: (source.read(tracklet, row, size) for row in rows)
    )


def folder_tracklet(folder: Path) -> Tracklet:
    """The pictures in a folder, in the order of their names, with numbers in them compared by value.

    Raises:
        ValueError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; a tracklet is a folder of frames.")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise ValueError(f"{folder} holds no picture; expected frames such as 0001.jpg.")
    # Every second part is a number.
    paths.sort(key=lambda path: [int(p) if i % 2 else p for i, p in enumerate(re.split(r"([0-9]+)", path.name))])
    # Neither identity nor modality is known, and reading needs neither.
    return Tracklet([str(path) for path in paths], 0, 0, Modality.VISIBLE, str(folder))


def image_footage(images: Sequence[Picture] | NDArray[np.uint8], name: str = "images") -> Footage:
    """Frames in memory.

    Args:
        images: PIL images; or arrays (h, w, 3) RGB or (h, w) grey, uint8; or one array (L, h, w, 3).
        name: what messages call them.

    Raises:
        ValueError: no image, or one of another kind, shape or number type.
    """
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


def boxes_of(source: str | Path | ArrayLike) -> NDArray[np.float64]:
    """One box in each of L frames of a video.

    Args:
        source: (L, 5) of frame, x1, y1, x2, y2 in pixels: left, top, right, bottom; (L, 4) of x1, y1, x2, y2 in frames
            0..L-1; or a CSV file that begins with a line of the columns' names, of which further ones are skipped.

    Returns:
        (L, 5) float64; frames are counted from 0 and increase, x1 < x2, y1 < y2.

    Raises:
        ValueError: there is no such file, or a row is not a box; the message gives its number, from 0.
    """
    name = str(source) if isinstance(source, str | Path) else "boxes"
    try:
        table = np.asarray(_read_boxes(Path(source)) if isinstance(source, str | Path) else source, np.float64)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; expected {','.join(BOX_COLUMNS)}, numbers in each row.") from error
    if table.ndim != 2 or table.shape[1] not in (4, 5) or not len(table):
        raise ValueError(f"{name}: the shape is {table.shape}; expected (frames, 4) or (frames, 5).")
    if table.shape[1] == 4:
        table = np.column_stack([np.arange(len(table)), table])
    frames = table[:, 0]
    good = np.isfinite(table).all(1) & (frames >= 0) & (frames == np.floor(frames))
    good &= (table[:, 1:3] < table[:, 3:5]).all(1)
    good[1:] &= frames[1:] > frames[:-1]
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"{name}, row {row}: {table[row].tolist()} is no box; expected the whole number of a frame, after that of "
            "the row before, and x1 < x2, y1 < y2."
        )
    return table


def _read_boxes(path: Path) -> list[list[float]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [[float(row[column]) for column in BOX_COLUMNS] for row in csv.DictReader(file)]


def video_footage(video: Path, boxes: NDArray[np.float64]) -> Footage:
    """Boxes in a video file, read as :class:`TrackClips` reads them.

    Args:
        video: a file of any kind that OpenCV reads.
        boxes: (L, 5) as of :func:`boxes_of`; what lies outside a frame is cut off.

    Raises:
        ValueError: there is no such file, or it is not a video.
    """
    with opened_video(video):
        pass

    def clips(rows: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        one = TrackClips(video, [boxes], [rows], size)
        for _, clip in one:
            if one.ended is None:
                yield clip
        if one.ended is not None:
            raise ValueError(f"{video}: frame {one.ended}, from 0, cannot be read, though a box is in it.")

    return Footage(str(video), len(boxes), clips)


class TrackClips:
    """Clips of any number of tracks of one video, each (T, H, W, 3) uint8, RGB, with the number of its track.

    The video is read once, front to back, and only the frames of each track's current clip are held. Seeking would be
    quicker, but in many files it does not land on the frame asked for.

    Attributes:
        ended: after a pass, the first wanted frame that could not be read, and there it ended; None if it read all.
            What a track then lacks of a clip is filled up with the last frame that was read of it.
    """

    def __init__(
        self,
        video: Path,
        tracks: Sequence[NDArray[np.float64]],
        rows: Sequence[NDArray[np.int64]],
        size: tuple[int, int],
        progress: Callable[[int], object] = lambda frames: None,
    ) -> None:
        """
        Args:
            video: a file of any kind that OpenCV reads.
            tracks: (L, 5) boxes of each, as of :func:`boxes_of`; what lies outside a frame is cut off.
            rows: for each track (C, T), which of its boxes make its clips; as of :class:`Footage`.
            size: (H, W) of clips, in pixels.
            progress: is told how many frames more were read.
        """
        self.ended: int | None = None
        self._video, self._tracks, self._rows = video, tracks, rows
        self._size, self._progress = size, progress

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        needed = [np.unique(rows) for rows in self._rows]
        numbers = np.repeat(np.arange(len(needed)), [len(boxes) for boxes in needed])
        boxes = np.concatenate(needed)
        frames = np.concatenate([track[chosen, 0] for track, chosen in zip(self._tracks, needed, strict=True)])
        order = np.argsort(frames, kind="stable")
        held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in needed]
        done = [0] * len(needed)
        with opened_video(self._video) as capture:
            position, picture = 0, None
            for number, box, wanted in zip(*(part[order].tolist() for part in (numbers, boxes, frames)), strict=True):
                if position <= wanted:
                    before, picture = position, None
                    while position <= wanted and capture.grab():
                        position += 1
                    self._progress(position - before)
                    picture = capture.retrieve()[1] if position > wanted else None
                if picture is None:
                    self.ended = int(wanted)
                    break
                held[number][box] = self._cut(np.asarray(picture, np.uint8), self._tracks[number][box])
                rows = self._rows[number]
                while done[number] < len(rows) and rows[done[number]].max() <= box:
                    yield number, np.stack([held[number][index] for index in rows[done[number]].tolist()])
                    done[number] += 1
                    first = rows[done[number]].min() if done[number] < len(rows) else box + 1
                    held[number] = {index: part for index, part in held[number].items() if index >= first}
        for number, parts in enumerate(held):
            if parts:
                wanted_boxes = self._rows[number][done[number]].tolist()
                yield number, np.stack([parts.get(index, parts[max(parts)]) for index in wanted_boxes])

    def _cut(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What a box, (5,), cuts out of its frame, (H, W, 3) RGB."""
        limits = picture.shape[1::-1]
        x1, y1 = np.clip(np.floor(box[1:3]), 0, limits).astype(int)
        x2, y2 = np.clip(np.ceil(box[3:]), 0, limits).astype(int)
        if x1 == x2 or y1 == y2:
            raise ValueError(
                f"{self._video}, frame {box[0]:.0f}: the box {box[1:].tolist()} lies outside the picture of "
                f"{limits[0]}x{limits[1]} pixels; boxes are x1,y1,x2,y2 in pixels."
            )
        person = cv2.cvtColor(picture[y1:y2, x1:x2], cv2.COLOR_BGR2RGB)
        return np.asarray(resized(np.asarray(person, np.uint8), self._size))


@contextmanager
def opened_video(video: Path) -> Iterator[cv2.VideoCapture]:
    """A video while it is read; ValueError where there is none that OpenCV reads."""
    capture = cv2.VideoCapture(str(video))
    try:
        if not capture.isOpened():
            raise ValueError(f"{video} is not there, or not a video that OpenCV can read; convert it, to MP4 for one.")
        yield capture
    finally:
        capture.release()
