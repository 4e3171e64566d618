"""What the gallery tool puts into a gallery: tracklets of datasets, folders, videos and lists, and saved features."""

import argparse
import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.footage import TrackletInput, VideoTracklet, boxes_of, folder_tracklet
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.engine.evaluation import as_the_model_knows_them
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.gallery.store import Batch, FrameRef, Record
from xreid_plugin.predictor import TrackletPredictor

COLUMNS = ("frames", "boxes", "identity", "camera", "time")
# How many of a tracklet's frames are kept for pictures.
FRAMES_KEPT = 6
# Tracklets embedded between two steps of the progress bar.
_STEP = 32


class Entry(NamedTuple):
    """A tracklet to be embedded, and what the gallery is to know of it."""

    tracklet: Tracklet | TrackletInput
    record: Record


def embedded(predictor: TrackletPredictor, entries: Sequence[Entry], reader: FrameReader | None) -> Iterator[Batch]:
    """Embeddings with their records, some at a time, with a progress bar on a terminal."""
    with tqdm(total=len(entries), desc="Embedding", unit="tracklet", leave=False, disable=None) as bar:
        for start in range(0, len(entries), _STEP):
            step = entries[start : start + _STEP]
            yield predictor.embed([entry.tracklet for entry in step], reader), [entry.record for entry in step]
            bar.update(len(step))


def of_features(data: TrackletFeatures, file: Path, direction: str | None) -> Batch:
    """Saved features, scaled to length 1: those of a direction's gallery, or all of them."""
    rows = _searched(data.tasks, direction, len(data.pids))
    records = [
        Record(
            identity=str(data.pids[row]),
            source=data.names[row] if data.names else f"{file.name}#{row}",
            camera=int(data.camids[row]),
            modality=Modality(data.modalities[row]).name.lower(),
        )
        for row in rows
    ]
    return unit_rows(np.asarray(data.features)[rows], file), records


def unit_rows(features: NDArray[np.float32], file: Path) -> NDArray[np.float32]:
    """(n, F) rows of any length but 0, scaled to length 1."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"{file}: feature {int(np.argmin(lengths))} is all zeros; it has no direction.")
    units: NDArray[np.float32] = (features / lengths).astype(np.float32)
    return units


def of_dataset(cfg: Any, name: str, direction: str | None) -> tuple[list[Entry], FrameReader]:
    """The test tracklets of a direction's gallery in a dataset, or all of them, and the reader of their frames."""
    dataset = build_dataset(cfg, name)
    searched = [dataset.test[row] for row in _searched(dataset.tasks, direction, len(dataset.test))]
    entries = []
    for tracklet, known in zip(searched, as_the_model_knows_them(cfg, name, searched), strict=True):
        record = Record(
            identity=str(tracklet.pid),
            source=tracklet.name,
            camera=tracklet.camid,
            modality=tracklet.modality.name.lower(),
            frames=_some([FrameRef(str(Path(path).resolve())) for path in tracklet.paths]),
        )
        entries.append(Entry(known, record))
    return entries, build_frame_reader(cfg, "SIZE_TEST")


def of_options(args: argparse.Namespace) -> list[Entry]:
    """The tracklets of --video with --boxes, of --list, or of --frames: a folder of frames or of such folders."""
    known = Record(args.identity or "", "", args.camera, parse_time(args.time or ""))
    if args.video is not None:
        if args.boxes is None:
            raise ValueError("--video needs --boxes FILE.csv, which says where the person is.")
        return [_entry(args.video, args.boxes, known)]
    if getattr(args, "list", None) is not None:
        return list(_of_list(args.list))
    return [entry for folder in args.frames for entry in _of_folder(folder, known)]


def _of_folder(folder: Path, known: Record) -> list[Entry]:
    try:
        return [_entry(folder, None, known)]
    except ValueError:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        if not inner:
            raise
        return [_entry(path, None, known) for path in inner]


def _of_list(path: Path) -> Iterator[Entry]:
    """Paths in the file are relative to its folder."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        if "frames" not in names or not names <= set(COLUMNS):
            raise ValueError(f"{path}, line 1: expected the columns frames and, if any, {', '.join(COLUMNS[1:])}.")
        for line in reader:
            frames, boxes, identity, camera, time = ((line.get(name) or "").strip() for name in COLUMNS)
            try:
                known = Record(identity, "", int(camera) if camera else None, parse_time(time))
                yield _entry(path.parent / frames, path.parent / boxes if boxes else None, known)
            except ValueError as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _entry(frames: Path, boxes: Path | None, known: Record) -> Entry:
    """A folder of frames; or a video, with a CSV file of boxes."""
    source = str(frames.resolve())
    if boxes is None:
        paths = folder_tracklet(frames).paths
        refs = _some([FrameRef(str(Path(path).resolve())) for path in paths])
        return Entry(TrackletInput(frames, known.camera), known._replace(source=source, frames=refs))
    table = boxes_of(boxes)
    refs = _some([FrameRef(source, int(number), corners) for number, *corners in table.tolist()])
    record = known._replace(source=f"{source} with {boxes.name}", frames=refs)
    return Entry(TrackletInput(VideoTracklet(frames, table), known.camera), record)


def _some(frames: list[FrameRef]) -> list[FrameRef]:
    """Evenly chosen frames, as many as a record keeps."""
    count = min(FRAMES_KEPT, len(frames))
    return [frames[index * len(frames) // count] for index in range(count)]


def parse_time(text: str) -> float | None:
    """ISO 8601, in UTC where no zone is given, or seconds since 1970; "" for None."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromtimestamp(float(text), UTC)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f'"{text}" is no time: write 2026-03-01T17:45:00+01:00, or seconds since 1970.') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _searched(tasks: Any, direction: str | None, count: int) -> list[int]:
    if direction not in (None, *tasks):
        raise ValueError(f"There is no direction {direction}, only {', '.join(tasks)}.")
    return list(range(count) if direction is None else tasks[direction].gallery)
