"""What a caller may hand over as a tracklet, and how its frames are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xreid_plugin.data.footage import FileFrames, Footage, FootageError, ImageFrames, Picture
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.data.video import Boxes, VideoFrames


@dataclass(frozen=True, eq=False)
class VideoTracklet:
    """A person in a video.

    Attributes:
        video: a video file of any kind that OpenCV reads.
        boxes: (L, 5) frame, x1, y1, x2, y2, or (L, 4) x1, y1, x2, y2 in frames 0..L-1; pixels; or a CSV file with the
            columns frame,x1,y1,x2,y2.
    """

    video: str | Path
    boxes: str | Path | Boxes | ArrayLike


# A folder of frames; images, or one (L, H, W, 3) uint8 RGB array of them; or boxes in a video.
FrameSource: TypeAlias = str | Path | Sequence[Picture] | NDArray[np.uint8] | VideoTracklet | Footage


@dataclass(frozen=True, eq=False)
class TrackletInput:
    """A tracklet to embed.

    Attributes:
        frames: where its frames are.
        camera: the training set's number of the camera, or None where that is not known.
    """

    frames: FrameSource
    camera: int | None = None


def open_tracklet(
    tracklet: FrameSource | Tracklet | TrackletInput, number: int, reader: FrameReader | None
) -> tuple[Footage, int | None]:
    """Checks a tracklet and opens its frames.

    Args:
        tracklet: a source of frames without or with a camera, or a dataset's tracklet with its own.
        number: the tracklet's number, for messages.
        reader: the source of the frames of a dataset's tracklet; None reads loose files.

    Returns:
        Its frames, and the number of its camera or None.

    Raises:
        FootageError: frames that cannot be read; the message gives the tracklet's number.
    """
    if isinstance(tracklet, Tracklet):
        return FileFrames(tracklet, reader), tracklet.camid
    source, camera = (tracklet.frames, tracklet.camera) if isinstance(tracklet, TrackletInput) else (tracklet, None)
    try:
        return _footage(source, f"tracklet {number}"), camera
    except FootageError as error:
        raise FootageError(f"Tracklet {number}: {error}") from error


def _footage(source: FrameSource, name: str) -> Footage:
    if isinstance(source, VideoTracklet):
        boxes = source.boxes
        if not isinstance(boxes, Boxes):
            boxes = Boxes.read(Path(boxes)) if isinstance(boxes, str | Path) else Boxes.of(boxes)
        return VideoFrames(Path(source.video), boxes)
    if isinstance(source, str | Path):
        return FileFrames.of_folder(Path(source))
    if isinstance(source, Footage):
        return source
    if isinstance(source, np.ndarray | list | tuple):
        return ImageFrames(source, name)
    raise FootageError(f"it is a {type(source).__name__}; expected a folder, images or a VideoTracklet.")
