"""A picture of a search: the query's frames on top, those of each tracklet found below, with their scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xreid_plugin.data.boxes import Boxes
from xreid_plugin.data.footage import FileFrames, Footage, FootageError
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.video import VideoFrames
from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery.records import FrameRef, GalleryError

# Pixels.
FRAME = (128, 64)
_CAPTION, _GAP = 30, 6
_LETTERS = 62
_SUFFIXES = (".png", ".jpg", ".jpeg")


class Strip(NamedTuple):
    """One row of the picture.

    Attributes:
        caption: the text above the frames.
        frames: the frames, from left to right.
        colour: the colour of a bar beside them.
    """

    caption: str
    frames: Sequence[FrameRef]
    colour: str


def draw(strips: Sequence[Strip]) -> Image.Image:
    """The strips one below the other; a frame that no longer exists is drawn grey."""
    height, width = FRAME
    columns = max(6, *(len(strip.frames) for strip in strips))
    pitch = _CAPTION + height + _GAP
    sheet = Image.new("RGB", (3 * _GAP + columns * (width + _GAP), len(strips) * pitch + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, strip in enumerate(strips):
        top = number * pitch + _GAP
        lines = strip.caption.split("\n")
        pen.multiline_text((3 * _GAP, top), "\n".join(map(_shortened, lines)), fill="black", spacing=2)
        pen.rectangle((_GAP, top, 2 * _GAP, top + pitch - _GAP), fill=strip.colour)
        for column, frame in enumerate(strip.frames):
            image = Image.fromarray(_pixels(frame))
            sheet.paste(image, (3 * _GAP + column * (width + _GAP), top + _CAPTION))
    return sheet


def write(path: Path, strips: Sequence[Strip]) -> None:
    """Writes the picture, whole or not at all.

    Raises:
        GalleryError: the name is neither a PNG's nor a JPEG's, or the folder does not exist.
    """
    check_path(path)
    sheet, kind = draw(strips), "PNG" if path.suffix.lower() == ".png" else "JPEG"
    replace_atomically(path, lambda part: sheet.save(part, kind))


def check_path(path: Path) -> None:
    """Refuses what :func:`write` could not write, before any work is done for it.

    Raises:
        GalleryError: as for :func:`write`.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise GalleryError(f"{path}: the picture's name must end in {', '.join(_SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise GalleryError(f"{path}: there is no folder {path.absolute().parent}.")


def _shortened(line: str) -> str:
    plain = line.encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= _LETTERS else f"...{plain[-_LETTERS:]}"


def _pixels(frame: FrameRef) -> NDArray[np.uint8]:
    try:
        return next(_footage(frame).clips(np.zeros((1, 1), np.int64), FRAME))[0]
    except (FootageError, FrameError):
        return np.full((*FRAME, 3), 200, np.uint8)


def _footage(frame: FrameRef) -> Footage:
    if frame.number is not None and frame.box is not None:
        return VideoFrames(Path(frame.path), Boxes.of([[frame.number, *frame.box]]))
    # Reading a file's pixels needs neither identity nor modality.
    return FileFrames(Tracklet([frame.path], 0, 0, Modality.VISIBLE, frame.path))
