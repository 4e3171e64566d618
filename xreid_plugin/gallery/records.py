"""What a gallery knows about a tracklet besides its embedding, and its form on disk: one line of JSON."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

# How many of a tracklet's frames are kept for pictures.
FRAMES_KEPT = 6


class GalleryError(ValueError):
    """A gallery that cannot be used as asked; the message gives the reason and the remedy."""


class FrameRef(NamedTuple):
    """One frame of a tracklet.

    Attributes:
        path: the path of a picture or of a video.
        number: number of the video's frame, from 0; None for a picture.
        box: x1, y1, x2, y2 in pixels of that frame; None for a picture.
    """

    path: str
    number: int | None = None
    box: tuple[float, float, float, float] | None = None


class Record(NamedTuple):
    """A tracklet of a gallery.

    Attributes:
        identity: who it is, or "" where that is not known.
        source: what the tracklet is called: a folder, a video, a dataset's tracklet.
        camera: number of the camera, or None.
        time: when it began, in seconds since 1970 in UTC, or None.
        frames: some of its frames, in order.
    """

    identity: str = ""
    source: str = ""
    camera: int | None = None
    time: float | None = None
    frames: tuple[FrameRef, ...] = ()

    @property
    def when(self) -> str:
        """The time in ISO 8601, for display; "" where it is not known."""
        return "" if self.time is None else datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds")

    def to_json(self) -> bytes:
        """The record as one line of JSON."""
        frames = [
            frame.path if frame.number is None else [frame.path, frame.number, *(frame.box or ())]
            for frame in self.frames
        ]
        return json.dumps({**self._asdict(), "frames": frames}).encode()

    @classmethod
    def from_json(cls, line: bytes) -> "Record":
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: it is not a record.
        """
        try:
            fields: dict[str, Any] = json.loads(line)
            frames = tuple(
                FrameRef(entry) if isinstance(entry, str) else FrameRef(entry[0], entry[1], tuple(entry[2:6]) or None)
                for entry in fields.pop("frames")
            )
            return cls(**fields, frames=frames)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"a record cannot be read: {error}") from error


def some(frames: Sequence[FrameRef]) -> tuple[FrameRef, ...]:
    """Evenly chosen frames, as many as a record keeps."""
    count = min(FRAMES_KEPT, len(frames))
    return tuple(frames[index * len(frames) // count] for index in range(count))


def parse_time(text: str) -> float | None:
    """ISO 8601, or seconds since 1970; UTC where no zone is given; "" for None.

    Raises:
        GalleryError: it is neither.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise GalleryError(
                f'"{text}" is no time: write 2026-03-01T17:45:00+01:00, or seconds since 1970.'
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # The years 1 to 9999, in which a date can be shown.
    if not math.isfinite(seconds) or not -62135596800 <= seconds < 253402300800:
        raise GalleryError(f'"{text}" is no time: seconds since 1970 must lie in the years 1 to 9999.')
    return seconds
