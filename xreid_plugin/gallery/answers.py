"""The picture of a search: the query's frames on top, below them those of each tracklet found, with their scores."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xreid_plugin.data.footage import VideoTracklet, open_tracklet
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.gallery.store import FrameRef, Record

# Pixels.
FRAME = (128, 64)
_CAPTION, _GAP = 30, 6
_LETTERS = 62
_COLOURS = {None: "grey", False: "firebrick", True: "seagreen"}


class Hit(NamedTuple):
    """A tracklet that a search has found, and whether it matches; None where the gallery has no threshold."""

    rank: int
    score: float
    match: bool | None
    record: Record


def draw(asking: Record, hits: Sequence[Hit]) -> Image.Image:
    """A row for the query and one for each hit, with a bar that is green where it matches, and red where it does not.

    A frame that is no longer there is drawn grey.
    """
    rows = [(f"query{'' if hits else ': no match'}\n{asking.source}", asking.frames, "black")]
    for rank, score, match, record in hits:
        verdict = "no match" if match is False else ""
        camera = "" if record.camera is None else f"camera {record.camera}"
        caption = "  ".join(filter(None, [f"{rank}: {score:.4f}", verdict, record.identity, camera, record.when]))
        rows.append((f"{caption}\n{record.source}", record.frames, _COLOURS[match]))
    height, width = FRAME
    pitch, columns = _CAPTION + height + _GAP, max(6, *(len(frames) for _, frames, _ in rows))
    sheet = Image.new("RGB", (3 * _GAP + columns * (width + _GAP), len(rows) * pitch + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for top, (caption, frames, colour) in zip(range(_GAP, sheet.height, pitch), rows, strict=False):
        # The font has Latin letters alone.
        lines = caption.encode("latin-1", "replace").decode("latin-1").split("\n")
        short = [line if len(line) <= _LETTERS else f"...{line[-_LETTERS:]}" for line in lines]
        pen.multiline_text((3 * _GAP, top), "\n".join(short), fill="black", spacing=2)
        pen.rectangle((_GAP, top, 2 * _GAP, top + pitch - _GAP), fill=colour)
        for column, frame in enumerate(frames):
            sheet.paste(Image.fromarray(_pixels(frame)), (3 * _GAP + column * (width + _GAP), top + _CAPTION))
    return sheet


def _pixels(frame: FrameRef) -> NDArray[np.uint8]:
    try:
        if frame.box is None:
            footage, _ = open_tracklet(Tracklet([frame.path], 0, 0, Modality.VISIBLE, frame.path), 0, None)
        else:
            footage, _ = open_tracklet(VideoTracklet(frame.path, np.array([[frame.number, *frame.box]])), 0, None)
        return next(footage.clips(np.zeros((1, 1), np.int64), FRAME))[0]
    except (ValueError, FrameError):
        return np.full((*FRAME, 3), 200, np.uint8)
