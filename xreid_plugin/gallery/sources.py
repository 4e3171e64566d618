"""What is put into a gallery: tracklets of datasets, of folders, videos and lists, and saved features."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xreid_plugin.data.boxes import Boxes
from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.footage import FileFrames, FootageError
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.data.tracklet_input import TrackletInput, VideoTracklet
from xreid_plugin.engine.unseen_cameras import as_the_model_knows_them
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.gallery.records import FrameRef, GalleryError, Record, parse_time, some
from xreid_plugin.gallery.store import Batch
from xreid_plugin.predictor import TrackletPredictor

# Number of tracklets embedded between two steps of the progress bar.
TRACKLETS_A_STEP = 32
COLUMNS = ("frames", "boxes", "identity", "camera", "time")


class Entry(NamedTuple):
    """A tracklet to be embedded, and what the gallery is to know about it."""

    tracklet: Tracklet | TrackletInput
    record: Record


def embedded(
    predictor: TrackletPredictor, entries: Sequence[Entry], reader: FrameReader | None = None
) -> Iterator[Batch]:
    """Embeddings with their records, some at a time, with a progress bar on a terminal.

    Raises:
        FootageError: frames that cannot be read.
        FrameError: likewise.
    """
    with tqdm(total=len(entries), desc="Embedding", unit="tracklet", leave=False, disable=None) as bar:
        for start in range(0, len(entries), TRACKLETS_A_STEP):
            step = entries[start : start + TRACKLETS_A_STEP]
            yield predictor.embed([entry.tracklet for entry in step], reader), [entry.record for entry in step]
            bar.update(len(step))


def of_features(data: TrackletFeatures, file: Path, direction: str | None) -> Iterator[Batch]:
    """Saved features: those of a direction's gallery, or all of them.

    Raises:
        GalleryError: no such direction, or a feature of length 0.
    """
    rows = _searched(data.tasks, direction, len(data.pids))
    units = unit_rows(np.asarray(data.features)[rows], file)
    yield (
        units,
        [
            Record(
                identity=str(data.pids[row]),
                source=data.names[row] if data.names else f"{file.name}#{row}",
                camera=int(data.camids[row]),
            )
            for row in rows
        ],
    )


def unit_rows(features: NDArray[np.float32], file: Path) -> NDArray[np.float32]:
    """(n, F) rows of any length, scaled to length 1.

    Raises:
        GalleryError: a feature of length 0.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise GalleryError(f"{file}: feature {int(np.argmin(lengths))} is all zeros; it has no direction.")
    units: NDArray[np.float32] = (features / lengths).astype(np.float32)
    return units


def of_dataset(cfg: Any, name: str, direction: str | None) -> tuple[list[Entry], FrameReader]:
    """The test tracklets of a direction's gallery in a dataset, or all of them, and the reader of their frames.

    Raises:
        OSError: no such data.
        ValueError: malformed metadata, or no such direction.
    """
    dataset = build_dataset(cfg, name)
    searched = [dataset.test[row] for row in _searched(dataset.tasks, direction, len(dataset.test))]
    entries = [
        Entry(
            known,
            Record(
                identity=str(tracklet.pid),
                source=tracklet.name,
                camera=tracklet.camid,
                frames=some([FrameRef(str(Path(path).resolve())) for path in tracklet.paths]),
            ),
        )
        for tracklet, known in zip(searched, as_the_model_knows_them(cfg, name, searched), strict=True)
    ]
    return entries, build_frame_reader(cfg, "SIZE_TEST")


def of_folder(folder: Path, known: Record) -> list[Entry]:
    """A folder of frames, or a folder of such folders: each is a tracklet.

    Args:
        folder: a folder of either kind.
        known: identity, camera and time of all its tracklets.

    Raises:
        FootageError: there is no such folder, or no picture in it or right below.
    """
    try:
        return [entry(folder, None, known)]
    except FootageError:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        if not inner:
            raise
        return [entry(path, None, known) for path in inner]


def of_list(path: Path) -> list[Entry]:
    """The tracklets that a CSV file lists.

    Its columns: frames, a folder or a video; and, optionally, boxes (a CSV file, for a video), identity,
    camera and time. Paths are relative to the file's folder.

    Raises:
        FootageError: frames that are not there.
        GalleryError: a line that cannot be read; the message gives its number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path}: the list cannot be read ({error}).") from error
    reader = csv.DictReader(text.splitlines())
    unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
    if "frames" not in (reader.fieldnames or ()) or unknown:
        raise GalleryError(f"{path}, line 1: expected the columns frames and, if any, {', '.join(COLUMNS[1:])}.")
    entries = []
    for line in reader:
        try:
            cells = {name: (line.get(name) or "").strip() for name in COLUMNS}
            known = Record(cells["identity"], "", parse_camera(cells["camera"]), parse_time(cells["time"]))
            boxes = path.parent / cells["boxes"] if cells["boxes"] else None
            entries.append(entry(path.parent / cells["frames"], boxes, known))
        except (FootageError, GalleryError) as error:
            raise type(error)(f"{path}, line {reader.line_num}: {error}") from error
    return entries


def entry(frames: Path, boxes: Path | None, known: Record) -> Entry:
    """A folder of frames, or a video with boxes.

    Args:
        frames: the folder or the video.
        boxes: CSV file of a video; None for a folder.
        known: identity, camera and time.

    Raises:
        FootageError: they are not there, or cannot be read.
    """
    source = str(frames.resolve())
    if boxes is None:
        paths = FileFrames.of_folder(frames).tracklet.paths
        refs = [FrameRef(str(Path(path).resolve())) for path in paths]
        return Entry(TrackletInput(frames, known.camera), known._replace(source=source, frames=some(refs)))
    table = Boxes.read(boxes)
    refs = [
        FrameRef(source, number, (corners[0], corners[1], corners[2], corners[3]))
        for number, corners in zip(table.frames.tolist(), table.corners.tolist(), strict=True)
    ]
    tracklet = TrackletInput(VideoTracklet(frames, table), known.camera)
    return Entry(tracklet, known._replace(source=f"{source} with {boxes.name}", frames=some(refs)))


def parse_camera(text: str) -> int | None:
    """A camera's number; "" for None.

    Raises:
        GalleryError: it is not a whole number.
    """
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise GalleryError(f'"{text}" is not a camera: give its whole number, as in the training set.') from None


def _searched(tasks: Any, direction: str | None, count: int) -> Sequence[int]:
    if direction is None:
        return range(count)
    if direction not in tasks:
        raise GalleryError(f"There is no direction {direction}, only {', '.join(tasks)}.")
    rows: Sequence[int] = list(tasks[direction].gallery)
    return rows
