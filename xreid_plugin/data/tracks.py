"""The tracks of a video: read from the file that a tracker or an annotator leaves, and cut out of the video.

Two formats are told apart by the first line:

- MOTChallenge, which has no header: ``frame, id, x, y, width, height`` and more, with commas or blanks between them.
  Frames count from 1, and so do pixels: the box 1, 1, 10, 20 is the upper left corner of the picture. Where a seventh
  column is 0, a ground truth marks what does not count, and the line is left out.
- CSV with a header that names ``frame, x1, y1, x2, y2`` in any order, and ``id`` unless all are of one track. Frames
  count from 0; boxes are left, top, right and bottom edges in pixels, 0 being the edge of the picture. Two boxes in
  one frame without an ``id`` are an error: they cannot be of one track.

Shapes: L boxes of a track, n boxes of a file, C clips, T frames a clip, H×W pixels.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.frame_reader import resized

BOX_COLUMNS = ("frame", "x1", "y1", "x2", "y2")
MOT, CSV = "MOTChallenge (frames and pixels count from 1)", "CSV with a header (frames and pixels count from 0)"
_MOT_COLUMNS, _CSV_COLUMNS = "frame,id,x,y,width,height", "frame,x1,y1,x2,y2 and, for more than one track, id"
# How many tracks a note names.
_NAMED = 8


@dataclass(frozen=True, eq=False)
class VideoTracks:
    """The tracks that a file has in a video, without what the video cannot show.

    Attributes:
        video: its file.
        ids: of the tracks, numbers in the order of their values; "" for the one track of a file without ids.
        boxes: of each track (L, 5) float64: frame from 0, x1, y1, x2, y2 in pixels; frames increase.
        rate: frames a second; None where the video does not say.
        notes: the format of the file, and what was left out or looks odd, a sentence each.
    """

    video: Path
    ids: Sequence[str]
    boxes: Sequence[NDArray[np.float64]]
    rate: float | None = None
    notes: list[str] = field(default_factory=list)

    def only(self, places: Sequence[int]) -> "VideoTracks":
        """Those of the tracks at these places, 0..n-1, without notes."""
        chosen = [self.ids[place] for place in places], [self.boxes[place] for place in places]
        return VideoTracks(self.video, *chosen, rate=self.rate)


def read_tracks(video: Path, file: Path, wanted: Sequence[str] = ()) -> VideoTracks:
    """Reads a file of tracks, and drops what the video cannot show, with a note for each kind of fault.

    Args:
        video: a file of any kind that OpenCV reads; its first frame alone is decoded.
        file: in one of the formats that this module describes.
        wanted: ids of the tracks to take; all where there is none.

    Raises:
        OSError: the file of tracks is not there.
        ValueError: the video cannot be read, a line is not a box, an id is not there, two boxes in one frame have none,
            or no box is left.
    """
    with opened_video(video) as capture:
        # Infinite where the video does not say.
        length = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0 else np.inf
        rate = capture.get(cv2.CAP_PROP_FPS)
        there, picture = capture.read()
        if not there:
            raise ValueError(f"{video}: not one frame can be read.")
        height, width = np.asarray(picture).shape[:2]
    kind, ids, boxes, counts = _read(file)
    notes = [f"{file}: {len(ids):,} boxes of {len(set(ids)):,} tracks, read as {kind}."]
    missing = set(wanted) - set(ids)
    if missing:
        raise ValueError(f"{file} has no track {', '.join(sorted(missing))}.")
    names = np.array(ids)
    frames, (x1, y1, x2, y2) = boxes[:, 0], boxes[:, 1:].T
    shown = (x1 < x2) & (y1 < y2) & (np.floor(x1) < width) & (np.floor(y1) < height) & (x2 > 0) & (y2 > 0)
    left = np.isin(names, wanted) if wanted else np.ones(len(ids), bool)
    for bad, why in [
        (~counts, "marked with 0 in column 7"),
        ((frames < 0) | (frames >= length), f"in frames outside of the video, which has {length:,.0f}"),
        (~shown, f"outside of the picture of {width}x{height} pixels, or without an area"),
    ]:
        notes += _note(names[left & bad], f"boxes {why} were left out")
        left &= ~bad
    order = np.lexsort((frames, names))
    order = order[left[order]]
    # The later of two lines of one track in one frame goes.
    again = (names[order[1:]] == names[order[:-1]]) & (frames[order[1:]] == frames[order[:-1]])
    notes += _note(names[order[1:]][again], "boxes in a frame where their track has one already were left out")
    kept = np.delete(order, 1 + np.flatnonzero(again))
    if not len(kept):
        raise ValueError(f"{file}: no box is left. {' '.join(notes)}")
    begins = np.flatnonzero(names[kept][1:] != names[kept][:-1]) + 1
    found = {str(names[rows[0]]): boxes[rows] for rows in np.split(kept, begins)}
    tracks = {name: found[name] for name in sorted(found, key=by_value)}
    notes += _note(np.array([name for name, own in tracks.items() if len(own) == 1]), "tracks of a single box")
    return VideoTracks(video, list(tracks), list(tracks.values()), rate if 0 < rate < 1e4 else None, notes)


def _read(file: Path) -> tuple[str, list[str], NDArray[np.float64], NDArray[np.bool_]]:
    """The format, the track of each box, (n, 5) boxes as in :class:`VideoTracks`, and (n,) bool, whether it counts."""
    try:
        text = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8: {error}.") from error
    lines = [(number, line.strip()) for number, line in enumerate(text, 1) if line.strip()]
    kind = MOT if lines and re.match(r"[-+.\d]", lines[0][1]) else CSV
    header = [name.strip() for name in lines.pop(0)[1].split(",")] if lines and kind == CSV else []
    if kind == CSV and not set(BOX_COLUMNS) <= set(header):
        found = ",".join(header) or "nothing"
        raise ValueError(f"{file} begins with {found}: expected a header of {_CSV_COLUMNS}; or {_MOT_COLUMNS} without.")
    ids: list[str] = []
    boxes: list[list[float]] = []
    counts: list[bool] = []
    for number, line in lines:
        try:
            if kind == MOT:
                parts = re.split(r"\s*,\s*|\s+", line.rstrip(","))
                if len(parts) < 6:
                    raise ValueError(f"it has {len(parts)} of them")
                frame, track, x, y, width, height, *more = map(float, parts)
                if not track.is_integer():
                    raise ValueError(f"the id {track:g} is no whole number")
                ids.append(f"{track:.0f}")
                boxes.append([frame - 1, x - 1, y - 1, x - 1 + width, y - 1 + height])
                counts.append(more[:1] != [0.0])
            else:
                row = dict(zip(header, map(str.strip, line.split(",")), strict=False))
                if lacking := [name for name in BOX_COLUMNS if name not in row]:
                    raise ValueError(f"it has no {lacking[0]}")
                ids.append(row.get("id", ""))
                boxes.append([float(row[name]) for name in BOX_COLUMNS])
                counts.append(True)
            if not (np.isfinite(boxes[-1]).all() and boxes[-1][0].is_integer()):
                raise ValueError("no whole frame, or no finite numbers")
        except ValueError as error:
            expected = _MOT_COLUMNS if kind == MOT else _CSV_COLUMNS
            raise ValueError(f"{file}, line {number}: expected numbers, {expected}: {error}.") from error
    nobodys = [box[0] for track, box in zip(ids, boxes, strict=True) if not track]
    if len(set(nobodys)) < len(nobodys):
        raise ValueError(
            f"{file} has two boxes in one frame, and no id beside them: the column id names the track of a box. Its "
            f"columns are {','.join(header)}."
        )
    if set(ids) == {"-1"}:
        raise ValueError(f"{file} holds detections, whose id is -1, and no tracks: run a tracker on them first.")
    return kind, ids, np.array(boxes, np.float64).reshape(-1, 5), np.array(counts, bool)


def _note(ids: NDArray[np.str_], what: str) -> list[str]:
    """How many there are, and of which tracks; nothing where there are none."""
    names = sorted(set(ids.tolist()), key=by_value)
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(ids):,} {what}: {', '.join(names[:_NAMED])}{more}."]


def by_value(name: str) -> list[int | str]:
    """Numbers in a name are compared by value; every second part is one."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]


@dataclass(eq=False)
class TrackClips:
    """Clips of any number of tracks of one video, each (T, H, W, 3) uint8, RGB, with the number of its track.

    The video is read once, front to back, and only the frames of each track's current clip are held. Seeking would be
    quicker, but in many files it does not land on the frame asked for.

    Attributes:
        video: a file of any kind that OpenCV reads.
        tracks: (L, 5) boxes of each, as in :class:`VideoTracks`; what lies outside a frame is cut off.
        rows: for each track (C, T), which of its boxes make its clips; the earliest of one not before that of the last.
        size: (H, W) of clips, in pixels.
        progress: is told how many frames more were read.
        ended: after a pass, the first wanted frame that could not be read, and there it ended; None if it read all.
            What a track then lacks of a clip is filled up with the last frame that was read of it.
    """

    video: Path
    tracks: Sequence[NDArray[np.float64]]
    rows: Sequence[NDArray[np.int64]]
    size: tuple[int, int]
    progress: Callable[[int], object] = lambda frames: None
    ended: int | None = None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        needed = [np.unique(rows) for rows in self.rows]
        numbers = np.repeat(np.arange(len(needed)), [len(boxes) for boxes in needed])
        boxes = np.concatenate(needed)
        frames = np.concatenate([track[chosen, 0] for track, chosen in zip(self.tracks, needed, strict=True)])
        order = np.argsort(frames, kind="stable")
        held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in needed]
        done = [0] * len(needed)
        with opened_video(self.video) as capture:
            position, picture = 0, None
            for number, box, wanted in zip(*(part[order].tolist() for part in (numbers, boxes, frames)), strict=True):
                if position <= wanted:
                    before, picture = position, None
                    while position <= wanted and capture.grab():
                        position += 1
                    self.progress(position - before)
                    picture = capture.retrieve()[1] if position > wanted else None
                if picture is None:
                    self.ended = int(wanted)
                    break
                held[number][box] = self._cut(np.asarray(picture, np.uint8), self.tracks[number][box])
                rows = self.rows[number]
                while done[number] < len(rows) and rows[done[number]].max() <= box:
                    yield number, np.stack([held[number][index] for index in rows[done[number]].tolist()])
                    done[number] += 1
                    first = rows[done[number]].min() if done[number] < len(rows) else box + 1
                    held[number] = {index: part for index, part in held[number].items() if index >= first}
        for number, parts in enumerate(held):
            if parts:
                wanted_boxes = self.rows[number][done[number]].tolist()
                yield number, np.stack([parts.get(index, parts[max(parts)]) for index in wanted_boxes])

    def _cut(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What a box, (5,), cuts out of its frame, (H, W, 3) RGB."""
        limits = picture.shape[1::-1]
        x1, y1 = np.clip(np.floor(box[1:3]), 0, limits).astype(int)
        x2, y2 = np.clip(np.ceil(box[3:]), 0, limits).astype(int)
        if x1 == x2 or y1 == y2:
            raise ValueError(
                f"{self.video}, frame {box[0]:.0f}: the box {box[1:].tolist()} lies outside the picture of "
                f"{limits[0]}x{limits[1]} pixels; boxes are x1,y1,x2,y2 in pixels."
            )
        person = cv2.cvtColor(picture[y1:y2, x1:x2], cv2.COLOR_BGR2RGB)
        return np.asarray(resized(np.asarray(person, np.uint8), self.size))


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
