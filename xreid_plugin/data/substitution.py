"""What happens to bad frames where a run may go on without them: the nearest readable frame stands in.

It wraps whatever reads the frames, so that loose files and packs are treated alike, and keeps nothing between
two clips: a clip depends on the files and on what was asked for alone, not on which worker reads it after which other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from xreid_plugin.data.frame_reader import BadFrameError, FrameError, FrameReader
from xreid_plugin.data.tracklet import Tracklet


class UnreadableTrackletError(FrameError):
    """A tracklet without any readable frame; the message names it and its first fault."""


@dataclass
class ClipFaults:
    """What was bad in a clip and was replaced; it reaches the main process with the other values of a batch.

    Attributes:
        tracklet: name of the tracklet that the clip shows.
        frames: paths of its bad frames that others replace, in the order in which they were asked for.
        dropped: names of tracklets without a readable frame that the clip was to show.
        blank: whether it shows nothing, since no tracklet took the place of the dropped one.
    """

    tracklet: str = ""
    frames: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    blank: bool = False


def read_substituting(
    reader: FrameReader,
    tracklet: Tracklet,
    indices: Sequence[int] | np.ndarray,
    size: tuple[int, int],
    faults: ClipFaults,
) -> np.ndarray:
    """Reads frames; the nearest readable frame of its tracklet replaces a bad one, the earlier of two equally near.

    Costs nothing where no frame is bad.

    Args:
        reader: the source of the frames.
        tracklet: the tracklet whose frames are wanted.
        indices: T positions in ``tracklet.paths``.
        size: (H, W) in pixels.
        faults: receives the tracklet's name and its bad frames.

    Returns:
        (T, H, W, 3) uint8, RGB, 0 to 255, as from ``reader``.

    Raises:
        UnreadableTrackletError: no frame of the tracklet can be read.
        FrameError: see the reader.
    """
    faults.tracklet = tracklet.name
    try:
        return reader.read(tracklet, indices, size)
    except BadFrameError as error:
        first_fault = error
    is_readable = cache(partial(_is_readable, reader, tracklet, size))
    stand_ins: dict[int, int] = {}
    for wanted in map(int, indices):
        distances = np.abs(np.arange(len(tracklet.paths)) - wanted)
        nearest_first = np.argsort(distances, kind="stable").tolist()
        found = next(filter(is_readable, nearest_first), None)
        if found is None:
            raise UnreadableTrackletError(
                f"None of the {len(tracklet.paths)} frames of tracklet {tracklet.name} can be read. {first_fault}"
            )
        stand_ins[wanted] = found
    faults.frames = [tracklet.paths[wanted] for wanted, found in stand_ins.items() if wanted != found]
    return reader.read(tracklet, [stand_ins[int(index)] for index in indices], size)


def _is_readable(reader: FrameReader, tracklet: Tracklet, size: tuple[int, int], index: int) -> bool:
    try:
        reader.read(tracklet, [index], size)
    except BadFrameError:
        return False
    return True
