"""What the gallery tool embeds: tracklets of datasets, folders, lists and videos; and saved features."""

import argparse
import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from _options import LIST_COLUMNS
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.datasets.base import DRAWN
from xreid_plugin.data.footage import TrackletInput, folder_tracklet
from xreid_plugin.data.frame_reader import FrameReader, resized
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.tracks import VideoTracks, read_tracks
from xreid_plugin.engine.evaluation import as_the_model_knows_them
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Batch
from xreid_plugin.predictor import TrackletPredictor
from xreid_plugin.user_errors import printable

# Of a strip: frames, and pixels of each at most, height and width.
STRIP_FRAMES, STRIP_SIZE = 4, (128, 64)
# Tracklets embedded between two steps of the progress bar.
_STEP = 32


def tell(text: str) -> None:
    """A line on the console, now."""
    print(printable(text), flush=True)


class Entry(NamedTuple):
    """A tracklet to be embedded, and what is known of it."""

    tracklet: Tracklet | TrackletInput
    record: Record


class VideoEntry(NamedTuple):
    """The tracks of a video to be embedded in one pass, what is known of each, and their camera in training."""

    tracks: VideoTracks
    records: list[Record]
    model_camera: int | None


Source: TypeAlias = Entry | VideoEntry


class Strips:
    """Shown what the model sees (a ``Watch``), keeps of each tracklet a few frames as one small JPEG."""

    def __init__(self) -> None:
        self._frames: dict[int, list[NDArray[np.uint8]]] = {}
        self._done: dict[int, bytes] = {}

    def __call__(self, number: int, place: int, clips: int, clip: NDArray[np.uint8]) -> None:
        # The middle frames of equal parts of all clips.
        wanted = (2 * np.arange(STRIP_FRAMES) + 1) * clips * len(clip) // (2 * STRIP_FRAMES) - place * len(clip)
        kept = self._frames.setdefault(number, [])
        for frame in clip[wanted[(wanted >= 0) & (wanted < len(clip))]]:
            small = resized(frame, STRIP_SIZE) if frame.shape[0] > STRIP_SIZE[0] else frame.copy()
            if not any(np.array_equal(small, other) for other in kept):
                kept.append(small)
        if place == clips - 1:
            self._done[number] = self.of(number)
            del self._frames[number]

    def of(self, number: int) -> bytes:
        """The strip of a tracklet; b"" of one that ended before the first frame of its strip."""
        if number in self._done or not self._frames[number]:
            return self._done.get(number, b"")
        content = io.BytesIO()
        Image.fromarray(np.concatenate(self._frames[number], axis=1)).save(content, "JPEG", quality=82)
        return content.getvalue()


def embedded(predictor: TrackletPredictor, sources: Sequence[Source], reader: FrameReader | None) -> Iterator[Batch]:
    """Embeddings with their records: tracklets some at a time, then videos one after another."""
    entries = [source for source in sources if isinstance(source, Entry)]
    with tqdm(total=len(entries), desc="Embedding", unit="tracklet", leave=False, disable=None) as bar:
        for start in range(0, len(entries), _STEP):
            step, strips = entries[start : start + _STEP], Strips()
            rows = predictor.embed([entry.tracklet for entry in step], reader, strips)
            yield rows, [entry.record._replace(strip=strips.of(place)) for place, entry in enumerate(step)]
            bar.update(len(step))
    for video in sources:
        if isinstance(video, VideoEntry):
            yield _of_video(predictor, video)


def _of_video(predictor: TrackletPredictor, video: VideoEntry) -> Batch:
    tracks, strips = video.tracks, Strips()
    length = int(max(boxes[-1, 0] for boxes in tracks.boxes)) + 1
    with tqdm(total=length, desc=f"Reading {tracks.video.name}", unit="frame", leave=False, disable=None) as bar:
        rows, ended = predictor.embed_tracks(tracks, video.model_camera, strips, bar.update)
    there = np.flatnonzero(rows.any(1)).tolist()
    if ended is not None:
        lost = [name for place, name in enumerate(tracks.ids) if place not in there]
        gone = f" Tracks of which nothing is left: {', '.join(lost)}." if lost else ""
        tell(f"{tracks.video} ends before frame {ended}, from 0, where a box is; tracks are cut off there.{gone}")
    return rows[there], [video.records[place]._replace(strip=strips.of(place)) for place in there]


def of_features(data: TrackletFeatures, file: Path, rows: Sequence[int] | None = None) -> Batch:
    """Saved features, scaled to length 1: those of some rows, or all of them."""
    rows = range(len(data.pids)) if rows is None else rows
    chosen = np.asarray(data.features)[rows]
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"{file}: feature {rows[int(np.argmin(lengths))]} is all zeros; it has no direction.")
    sources = data.names or [f"{file.name}#{row}" for row in range(len(data.pids))]
    records = [
        Record(
            identity=str(data.pids[row]),
            source=sources[row],
            camera=str(data.camids[row]),
            modality=Modality(data.modalities[row]).name.lower(),
            digest=_digest(sources[row], chosen[place].tobytes()),
        )
        for place, row in enumerate(rows)
    ]
    return (chosen / lengths).astype(np.float32), records


def of_dataset(cfg: Any, name: str, direction: str | None) -> tuple[list[Source], FrameReader, bool]:
    """A dataset's test tracklets, or a direction's gallery; the reader of their frames; whether they are drawn."""
    dataset = build_dataset(cfg, name)
    searched = [dataset.test[row] for row in searched_rows(dataset.tasks, direction, len(dataset.test))]
    entries: list[Source] = []
    for tracklet, known in zip(searched, as_the_model_knows_them(cfg, name, searched), strict=True):
        record = Record(
            identity=str(tracklet.pid),
            source=tracklet.name,
            camera=str(tracklet.camid),
            modality=tracklet.modality.name.lower(),
            digest=_of_paths(tracklet.paths),
        )
        entries.append(Entry(known, record))
    return entries, build_frame_reader(cfg, "SIZE_TEST"), bool(dataset.protocol["drawn"])


def of_options(args: argparse.Namespace, predictor: TrackletPredictor) -> list[Source]:
    """What --video with --tracks, --list, or --frames names: a folder of frames or of such folders."""
    known = Record(args.identity or "", "", "", args.camera or "", args.modality or "", parse_time(args.time or ""))
    _check_camera(predictor, args.model_camera)
    if args.video is not None:
        if args.tracks is None:
            raise ValueError("--video needs --tracks FILE, which says where people are.")
        return [_tracks_entry(read_tracks(args.video, args.tracks, args.track), known, args.model_camera)]
    if args.list is not None:
        return list(_of_list(args.list, predictor))
    return [entry for folder in args.frames for entry in _of_folder(folder, known, args.model_camera)]


def are_drawn(sources: Iterable[Source]) -> bool:
    """Whether any of these folders and videos lies in a set of drawn people."""
    records = (source.records if isinstance(source, VideoEntry) else [source.record] for source in sources)
    places = {record.source for of_one in records for record in of_one}
    return any((folder / DRAWN).is_file() for folder in {folder for place in places for folder in Path(place).parents})


def new_ones(sources: Iterable[Source], digests: set[str]) -> list[Source]:
    """The sources without the tracklets whose digest is known, or comes a second time, which are told."""
    known, again = set(digests), 0
    kept: list[Source] = []
    for source in sources:
        records = source.records if isinstance(source, VideoEntry) else [source.record]
        places = []
        for place, record in enumerate(records):
            if record.digest not in known:
                places.append(place)
            known.add(record.digest)
        again += len(records) - len(places)
        if isinstance(source, VideoEntry) and places:
            chosen = [source.records[place] for place in places]
            kept.append(VideoEntry(source.tracks.only(places), chosen, source.model_camera))
        elif places:
            kept.append(source)
    tell_of_repeats(again)
    return kept


def tell_of_repeats(count: int) -> None:
    """Says how many tracklets were given that the gallery has."""
    if count:
        tell(f"{count:,} of the tracklets are in the gallery already, by their frames, and are not added again.")


def _of_folder(folder: Path, known: Record, model_camera: int | None) -> list[Source]:
    try:
        return [_folder_entry(folder, known, model_camera)]
    except ValueError:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        if not inner:
            raise
        return [_folder_entry(path, known, model_camera) for path in inner]


def _of_list(path: Path, predictor: TrackletPredictor) -> Iterator[Source]:
    """Paths in the file are relative to its folder."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        if "frames" not in names or not names <= set(LIST_COLUMNS):
            raise ValueError(f"{path}, line 1: expected the columns frames and, if any, {', '.join(LIST_COLUMNS[1:])}.")
        for line in reader:
            frames, tracks, identity, camera, modality, time, number = (
                (line.get(name) or "").strip() for name in LIST_COLUMNS
            )
            try:
                if modality not in ("", "infrared", "visible"):
                    raise ValueError(f"the modality is {modality}; expected infrared or visible.")
                known = Record(identity, "", "", camera, modality, parse_time(time))
                model_camera = int(number) if number else None
                _check_camera(predictor, model_camera)
                if tracks:
                    found = read_tracks(path.parent / frames, path.parent / tracks)
                    yield _tracks_entry(found, known, model_camera)
                else:
                    yield _folder_entry(path.parent / frames, known, model_camera)
            except (ValueError, OSError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _check_camera(predictor: TrackletPredictor, number: int | None) -> None:
    if number is not None and number not in predictor.cameras:
        known = ", ".join(map(str, predictor.cameras)) or "none"
        raise ValueError(f"The model's training knew the cameras {known}, not {number}: leave --model-camera out.")


def _folder_entry(folder: Path, known: Record, model_camera: int | None) -> Entry:
    record = known._replace(source=str(folder.resolve()), digest=_of_paths(folder_tracklet(folder).paths))
    return Entry(TrackletInput(folder, model_camera), record)


def _tracks_entry(tracks: VideoTracks, known: Record, model_camera: int | None) -> VideoEntry:
    for note in tracks.notes:
        tell(note)
    records, source = [], str(tracks.video.resolve())
    for name, boxes in zip(tracks.ids, tracks.boxes, strict=True):
        digest = _digest(source, name, boxes.tobytes())
        record = known._replace(source=source, track=name, digest=digest)
        if tracks.rate is not None:
            begins, ends = (boxes[[0, -1], 0] / tracks.rate).tolist()
            time = None if known.time is None else known.time + begins
            record = record._replace(begins=begins, ends=ends, time=time)
        records.append(record)
    return VideoEntry(tracks, records, model_camera)


def _of_paths(paths: Iterable[str]) -> str:
    return _digest(*(str(Path(path).resolve()) for path in paths))


def _digest(*parts: str | bytes) -> str:
    return hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts)).hexdigest()


def parse_time(text: str) -> float | None:
    """ISO 8601, in the time zone of this machine where none is given, or seconds since 1970; "" for None."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        try:
            return datetime.fromtimestamp(float(text), UTC).timestamp()
        except (ValueError, OverflowError, OSError):
            raise ValueError(f'"{text}" is no time: write 2026-03-01T17:45:00+01:00, or seconds since 1970.') from None


def searched_rows(tasks: Any, direction: str | None, count: int) -> list[int]:
    """The rows of a direction's gallery, or all of them."""
    if direction not in (None, *tasks):
        raise ValueError(f"There is no direction {direction}, only {', '.join(tasks)}.")
    return list(range(count) if direction is None else tasks[direction].gallery)
