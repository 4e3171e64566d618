"""What the gallery tool does, one function per command: arguments in, text out."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.evaluation.features import load_features
from xreid_plugin.gallery import sources, store
from xreid_plugin.gallery.answers import Hit, answer, describe_model, facts, shortened, strips
from xreid_plugin.gallery.calibration import calibrate
from xreid_plugin.gallery.export import export
from xreid_plugin.gallery.manifest import Calibration, Manifest
from xreid_plugin.gallery.picture import check_path, write
from xreid_plugin.gallery.records import GalleryError, Record, parse_time
from xreid_plugin.gallery.store import Batch, Gallery
from xreid_plugin.predictor import TrackletPredictor


def build(args: argparse.Namespace) -> str:
    """Makes a gallery.

    Raises:
        GalleryError, FootageError, FrameError, OSError, ValueError: see the functions called.
    """
    calibration = _calibration(args)
    predictor = _predictor(args.checkpoint, args.settings, args.device)
    content = _content(args, predictor)
    dimensions = content.dimensions
    if not 0 < args.recall <= 1:
        raise GalleryError(f"--recall is {args.recall}; it must lie above 0 and not above 1.")
    if predictor is not None:
        _check_dimensions(args.features, dimensions, predictor.dimensions)
    if args.calibrate is not None:
        _check_dimensions(args.calibrate, np.asarray(load_features(args.calibrate).features).shape[1], dimensions)
    manifest = Manifest(
        dimensions=dimensions,
        model=predictor.fingerprint if predictor else None,
        checkpoint=str(predictor.checkpoint.resolve()) if predictor else None,
        settings=tuple(args.settings) if predictor else (),
        kind=args.index,
        recall_wanted=args.recall,
        calibration=calibration,
    )
    store.create(args.gallery, manifest, content.batches, args.wait)
    return info(args) + content.note


def add(args: argparse.Namespace) -> str:
    """Adds to a gallery.

    Raises:
        GalleryError: also where another model made it.
        FootageError, FrameError, OSError, ValueError: see the functions called.
    """
    manifest = Manifest.read(args.gallery)
    predictor = _predictor_of(manifest, args, needed=args.features is None or args.checkpoint is not None)
    if manifest.model is not None and predictor is None:
        raise GalleryError(
            f"{args.gallery} was made by model {shortened(manifest.model)}: say which checkpoint made "
            f"{args.features} with --checkpoint, since the file does not."
        )
    content = _content(args, predictor)
    _check_dimensions(args.features, content.dimensions, manifest.dimensions)
    store.add(args.gallery, content.batches, args.wait)
    return info(args) + content.note


def calibrate_again(args: argparse.Namespace) -> str:
    """Sets the threshold of a gallery.

    Raises:
        GalleryError, ValueError: see the functions called.
    """
    manifest = Manifest.read(args.gallery)
    dimensions = np.asarray(load_features(args.calibrate).features).shape[1]
    _check_dimensions(args.calibrate, dimensions, manifest.dimensions)
    store.change(args.gallery, args.wait, calibration=_calibration(args))
    return info(args)


def query(args: argparse.Namespace) -> str:
    """Searches for one tracklet.

    Raises:
        GalleryError: also where another model made the gallery.
        FootageError, FrameError, OSError, ValueError: see the functions called.
    """
    if args.picture is not None:
        check_path(args.picture)
    gallery = Gallery(args.gallery)
    embedding, asking, note = _query(args, gallery.manifest)
    found = gallery.search(embedding[None], args.top, exact=args.exact)
    calibration = gallery.manifest.calibration
    hits = [
        Hit(rank, float(score), gallery.record(int(row)))
        for rank, (score, row) in enumerate(zip(found.scores[0], found.rows[0], strict=True), start=1)
        if row >= 0
    ]
    if args.picture is not None:
        write(args.picture, strips(asking, hits, calibration, args.all))
    picture = f"\nPicture: {args.picture}" if args.picture else ""
    return answer(hits, calibration, args.all, len(gallery)) + note + picture


def info(args: argparse.Namespace) -> str:
    """The facts about a gallery.

    Raises:
        GalleryError: there is none, or it is damaged.
    """
    manifest = Gallery(args.gallery).manifest
    size = sum(path.stat().st_size for path in args.gallery.rglob("*") if path.is_file())
    return facts(args.gallery, manifest, size)


def export_gallery(args: argparse.Namespace) -> str:
    """Writes a gallery for other databases.

    Raises:
        GalleryError, OSError: see the functions called.
    """
    files = export(Gallery(args.gallery), args.to, tuple(dict.fromkeys(args.format)))
    return "\n".join(f"{file}: {file.stat().st_size / 2**20:,.1f} MiB" for file in files)


class _Content(NamedTuple):
    """The tracklets that the arguments name, and what there is to say about them."""

    dimensions: int
    batches: Iterator[Batch]
    note: str = ""


def _query(args: argparse.Namespace, manifest: Manifest) -> tuple[NDArray[np.float32], Record, str]:
    if args.features is not None:
        if args.row is None:
            raise GalleryError("--features needs --row N, the number of the querying tracklet in the file, from 0.")
        data = load_features(args.features)
        if not 0 <= args.row < len(data.pids):
            raise GalleryError(f"{args.features} has the rows 0..{len(data.pids) - 1}, and no row {args.row}.")
        if args.checkpoint is not None:
            _predictor_of(manifest, args, needed=True)
        features = np.asarray(data.features)[[args.row]]
        _check_dimensions(args.features, features.shape[1], manifest.dimensions)
        return sources.unit_rows(features, args.features)[0], Record(source=f"{args.features}#{args.row}"), ""
    predictor = _predictor_of(manifest, args, needed=True)
    entries = list(_entries(args))
    if len(entries) != 1:
        raise GalleryError(f"A query is one tracklet; {len(entries)} are given.")
    assert predictor is not None
    return predictor.embed([entries[0].tracklet])[0], entries[0].record, _without_camera(predictor, entries)


def _content(args: argparse.Namespace, predictor: TrackletPredictor | None) -> _Content:
    if args.features is not None:
        data = load_features(args.features)
        dimensions = np.asarray(data.features).shape[1]
        return _Content(dimensions, sources.of_features(data, args.features, args.direction))
    if predictor is None:
        raise GalleryError("Frames are embedded by a model: name its checkpoint with --checkpoint.")
    reader = None
    if args.dataset is not None:
        cfg = predictor.cfg.clone()
        cfg.defrost()
        if args.root is not None:
            cfg.DATASETS.ROOT = str(args.root)
        entries, reader = sources.of_dataset(cfg, args.dataset, args.direction)
    else:
        entries = list(_entries(args))
    batches = sources.embedded(predictor, entries, reader)
    return _Content(predictor.dimensions, batches, _without_camera(predictor, entries))


def _without_camera(predictor: TrackletPredictor, entries: Sequence[sources.Entry]) -> str:
    count = sum(not predictor.knows_camera(entry.record.camera) for entry in entries)
    if not predictor.cameras or not count:
        return ""
    known = ", ".join(map(str, predictor.cameras))
    return f"\n{count} of {len(entries)} tracklets embedded without a camera: training knew the cameras {known}."


def _entries(args: argparse.Namespace) -> Iterator[sources.Entry]:
    known = Record(args.identity or "", "", args.camera, parse_time(args.time or ""))
    if args.video is not None:
        if args.boxes is None:
            raise GalleryError("--video needs --boxes FILE.csv, which says where the person is.")
        yield sources.entry(args.video, args.boxes, known)
    elif getattr(args, "list", None) is not None:
        yield from sources.of_list(args.list)
    else:
        for folder in args.frames:
            yield from sources.of_folder(folder, known)


def _predictor(checkpoint: Path | None, settings: Sequence[str], device: str) -> TrackletPredictor | None:
    if checkpoint is None:
        return None
    return TrackletPredictor(checkpoint, device, settings)


def _predictor_of(manifest: Manifest, args: argparse.Namespace, needed: bool) -> TrackletPredictor | None:
    """The model that made the gallery: from the checkpoint that is given, or from where it was."""
    if not needed:
        return None
    path = args.checkpoint or (Path(manifest.checkpoint) if manifest.checkpoint else None)
    if manifest.model is None or path is None:
        raise GalleryError(
            f"{args.gallery} was built from features, and it is not known which model made them: build it with "
            "--checkpoint FILE as well, or give --features."
        )
    if args.checkpoint is None and not path.is_file():
        raise GalleryError(f"The gallery's model is no longer at {path}: name it with --checkpoint FILE.")
    predictor = _predictor(path, args.settings or manifest.settings, args.device)
    assert predictor is not None
    if predictor.fingerprint != manifest.model:
        raise GalleryError(
            f"{args.gallery} was made by model {describe_model(manifest)}, and {path} is model "
            f"{shortened(predictor.fingerprint)}: their embeddings cannot be compared. Give the gallery's "
            "checkpoint and settings, or rebuild it with this one."
        )
    return predictor


def _calibration(args: argparse.Namespace) -> Calibration | None:
    if args.calibrate is None:
        return None
    return calibrate(load_features(args.calibrate), args.false_match_rate, args.direction)


def _check_dimensions(file: Path | None, found: int, wanted: int) -> None:
    if found != wanted:
        raise GalleryError(f"{file or 'The model'} has {found} dimensions, where {wanted} are needed.")
