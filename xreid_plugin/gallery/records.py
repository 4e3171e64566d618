"""What a gallery knows of its tracklets and of itself, and how tracklets are chosen by what is known of them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.index import IndexEntry, IndexKind

DATABASE, EMBEDDINGS = "gallery.sqlite", "embeddings.f32"


class Record(NamedTuple):
    """What is known of a tracklet besides its embedding; a text is "" where it is not known.

    Attributes:
        identity: who it is.
        source: what it is from: a folder, a video, a dataset's tracklet.
        track: its number among the tracks of a video.
        camera: the place, as its owner calls it; it has no effect on the embedding.
        modality: "infrared" or "visible".
        time: when it began, in seconds since 1970 in UTC, or None.
        begins, ends: its first and its last frame, in seconds from the beginning of its video, or None.
        digest: says whether another tracklet is of the same frames; a gallery has each but once.
        strip: some of its frames side by side, a small JPEG; b"" where there is none.
        number: what the gallery calls it, from 1, for as long as it is there; 0 before it is in a gallery.
    """

    identity: str = ""
    source: str = ""
    track: str = ""
    camera: str = ""
    modality: str = ""
    time: float | None = None
    begins: float | None = None
    ends: float | None = None
    digest: str = ""
    strip: bytes = b""
    number: int = 0

    @property
    def origin(self) -> str:
        """What it is from; of a video's track the video's name and the track's number."""
        return f"{PurePath(self.source).name}, track {self.track}" if self.track else self.source

    @property
    def when(self) -> str:
        """The time as :func:`local_time` has it, or else its place in its video, such as 0:04.0-0:09.2; or ""."""
        if self.time is not None:
            return local_time(self.time)
        if self.begins is None or self.ends is None:
            return ""
        # Rounded first, or 59.96 seconds would be 0:60.0.
        tenths = (round(10 * seconds) for seconds in (self.begins, self.ends))
        return "-".join(f"{t // 600}:{t % 600 / 10:04.1f}" for t in tenths)


def local_time(time: float) -> str:
    """Seconds since 1970 in ISO 8601, in the time zone of this machine, with its offset."""
    return datetime.fromtimestamp(time, UTC).astimezone().isoformat(timespec="seconds")


@dataclass(frozen=True)
class Manifest:
    """A state of a gallery.

    Attributes:
        dimensions: F.
        model: fingerprint of the model that made the embeddings.
        checkpoint: where that model was, or None where it is not known.
        settings: KEY VALUE ... that changed its configuration.
        kind: the kind of index that was asked for.
        recall_wanted: the recall asked of an approximate index, 0..1.
        rows: n.
        index: the approximate index; None where all rows are searched exactly.
        calibration: the threshold; None where there is none.
        generation: how often tracklets were removed.
        drawn: whether drawn people were ever added: what is found among them is no result on real ones.
    """

    dimensions: int
    model: str = ""
    checkpoint: str | None = None
    settings: Sequence[str] = ()
    kind: IndexKind = "exact"
    recall_wanted: float = 0.95
    rows: int = 0
    index: IndexEntry | None = None
    calibration: Calibration | None = None
    generation: int = 0
    drawn: bool = False

    @property
    def files(self) -> list[str]:
        """The names of the gallery's files: the database, the embeddings, and the index if there is one."""
        embeddings = f"embeddings-{self.generation}.f32" if self.generation else EMBEDDINGS
        return [DATABASE, embeddings, *([self.index.file] if self.index else [])]

    def threshold(self, own: float | None = None) -> float | None:
        """The similarity from which on there is a match: a query's own, or else the calibrated one, if there is one."""
        return self.calibration.threshold if own is None and self.calibration is not None else own


@dataclass(frozen=True)
class Selection:
    """Which of a gallery's tracklets are meant: those that meet all that is not None.

    Attributes:
        numbers: as the gallery calls them.
        identity, modality, camera: equal to the record's.
        after, before: bounds of the record's time, seconds since 1970; one without a time is not meant.
    """

    numbers: Sequence[int] | None = None
    identity: str | None = None
    modality: str | None = None
    camera: str | None = None
    after: float | None = None
    before: float | None = None

    def rows(self, database: sqlite3.Connection) -> NDArray[np.int64]:
        """The rows of those that are meant, ascending; ValueError where a number is not there."""
        conditions = {
            "identity = ?": self.identity,
            "modality = ?": self.modality,
            "camera = ?": self.camera,
            "time >= ?": self.after,
            "time <= ?": self.before,
        }
        given = {text: value for text, value in conditions.items() if value is not None}
        chosen = f"SELECT number, row FROM tracklets WHERE {' AND '.join(given) or 'TRUE'} ORDER BY row"
        found = dict(database.execute(chosen, list(given.values())).fetchall())
        wanted = found.keys() if self.numbers is None else set(self.numbers)
        if missing := wanted - found.keys():
            filters = " among those that meet the filters" if given else ""
            raise ValueError(f"There is no tracklet {', '.join(map(str, sorted(missing)))} in the gallery{filters}.")
        return np.sort(np.array([found[number] for number in wanted], np.int64))
