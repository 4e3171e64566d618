"""The one file that says what a gallery consists of: replacing it changes the gallery, as a whole."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery.records import GalleryError

SCHEMA = 1
FILE = "gallery.json"

IndexKind: TypeAlias = Literal["exact", "ivf", "hnsw", "auto"]
INDEX_KINDS: tuple[str, ...] = get_args(IndexKind)
_NAME = re.compile(r"[a-z]+-[0-9a-f]{32}")


@dataclass(frozen=True)
class SegmentEntry:
    """Consecutive rows of the gallery.

    Attributes:
        name: name of the segment's folder.
        rows: number of rows.
    """

    name: str
    rows: int


@dataclass(frozen=True)
class IndexEntry:
    """An approximate index of the gallery's first rows; later rows are searched exactly.

    Attributes:
        name: name of its file.
        kind: "ivf" or "hnsw".
        rows: number of rows that it covers, from row 0.
        effort: lists that are probed (ivf), or candidates that are held (hnsw).
        recall: mean share of the exact ten nearest that a search finds, on a sample not used to choose the effort.
        sample: rows in that sample.
    """

    name: str
    kind: str
    rows: int
    effort: int
    recall: float
    sample: int


@dataclass(frozen=True)
class Calibration:
    """The cosine from which two tracklets count as one person, measured on validation pairs.

    Attributes:
        threshold: cosine, -1 to 1; scores at or above it match.
        asked: the false-match rate that was asked for, 0..1.
        false_match_rate: share of the pairs of different people at or above the threshold.
        true_match_rate: share of the pairs of one person, likewise; None where there was none.
        different: pairs of different people.
        same: pairs of one person.
    """

    threshold: float
    asked: float
    false_match_rate: float
    true_match_rate: float | None
    different: int
    same: int

    def accepts(self, score: float) -> bool:
        """Whether a cosine counts as a match."""
        return score >= self.threshold


@dataclass(frozen=True)
class Manifest:
    """A state of a gallery.

    Attributes:
        dimensions: F.
        model: fingerprint of the model that made the embeddings, or None where it is not known.
        checkpoint: where that model was.
        settings: KEY VALUE ... that changed its configuration.
        kind: the kind of index that was asked for.
        recall_wanted: the recall asked of an approximate index, 0..1.
        segments: the segments, in the order of their rows.
        index: the approximate index; None where all rows are searched exactly.
        calibration: the threshold; None where there is none.
    """

    dimensions: int
    model: str | None = None
    checkpoint: str | None = None
    settings: tuple[str, ...] = ()
    kind: IndexKind = "exact"
    recall_wanted: float = 0.95
    segments: tuple[SegmentEntry, ...] = ()
    index: IndexEntry | None = None
    calibration: Calibration | None = None

    @property
    def rows(self) -> int:
        """Number of tracklets."""
        return sum(segment.rows for segment in self.segments)

    def write(self, folder: Path) -> None:
        """Makes this the state of the gallery."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)
        replace_atomically(folder / FILE, lambda part: part.write_text(text))

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The present state of the gallery.

        Raises:
            GalleryError: there is no gallery, it has another schema, or its manifest is damaged.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise GalleryError(f"{folder} is no gallery: it has no {FILE}. tools/gallery.py build makes one.") from None
        except (ValueError, RecursionError) as error:
            raise GalleryError(f"{path} is damaged: {error}.") from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise GalleryError(
                f"{path} is of schema {schema!r}, and this version reads {SCHEMA}: use the version that wrote it, or "
                "rebuild the gallery."
            )
        try:
            return cls._parsed(content)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise GalleryError(f"{path} is damaged: {error}.") from error

    @classmethod
    def _parsed(cls, content: dict[str, Any]) -> "Manifest":
        fields = {key: value for key, value in content.items() if key != "schema"}
        fields["settings"] = tuple(map(str, fields["settings"]))
        fields["segments"] = tuple(SegmentEntry(**entry) for entry in fields["segments"])
        fields["index"] = fields["index"] and IndexEntry(**fields["index"])
        fields["calibration"] = fields["calibration"] and Calibration(**fields["calibration"])
        manifest = cls(**fields)
        entries: list[SegmentEntry | IndexEntry] = [*manifest.segments, *([manifest.index] if manifest.index else [])]
        for entry in entries:
            # Names become paths, and must not lead out of the gallery.
            if not _NAME.fullmatch(entry.name) or type(entry.rows) is not int or entry.rows < 1:
                raise ValueError(f"{entry} is no entry of a gallery")
        if type(manifest.dimensions) is not int or manifest.dimensions < 1 or manifest.kind not in INDEX_KINDS:
            raise ValueError(f"dimensions {manifest.dimensions!r} or kind {manifest.kind!r} cannot be")
        if manifest.index and manifest.index.rows > manifest.rows:
            raise ValueError(f"the index covers {manifest.index.rows} rows, of which there are {manifest.rows}")
        return manifest
