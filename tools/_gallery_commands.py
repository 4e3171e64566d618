"""What the gallery tool does, a function per command: arguments in, text out."""

import argparse
import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _gallery_sources import Entry, embedded, of_dataset, of_features, of_options, unit_rows
from tabulate import tabulate
from tqdm import tqdm

from xreid_plugin.evaluation.features import load_features
from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery import store
from xreid_plugin.gallery.answers import Hit, draw
from xreid_plugin.gallery.calibration import Calibration, calibrate
from xreid_plugin.gallery.store import Batch, Gallery, Manifest, Record
from xreid_plugin.predictor import TrackletPredictor

# If a threshold finds a smaller share of the pairs of one person, "no match" says little.
_SURE = 0.9
_ROWS_PER_GROUP = 8192


def build(args: argparse.Namespace) -> str:
    """Makes a gallery."""
    if not 0 < args.recall <= 1:
        raise ValueError(f"--recall is {args.recall}; it must lie above 0 and not above 1.")
    predictor = TrackletPredictor(args.checkpoint, args.device, args.settings) if args.checkpoint else None
    content = _content(args, predictor)
    manifest = Manifest(content.dimensions, content.model, kind=args.index, recall_wanted=args.recall)
    if predictor is not None:
        checkpoint, settings = str(predictor.checkpoint.resolve()), tuple(args.settings)
        manifest = replace(manifest, model=predictor.fingerprint, checkpoint=checkpoint, settings=settings)
        _check(replace(manifest, dimensions=predictor.dimensions), args.features, content.dimensions, content.model)
    if args.calibrate:
        manifest = replace(manifest, calibration=_calibration(args, manifest))
    store.create(args.gallery, manifest, args.wait)
    store.add(args.gallery, content.batches, args.wait)
    return info(args) + content.note


def add(args: argparse.Namespace) -> str:
    """Adds to a gallery."""
    manifest = Gallery(args.gallery).manifest
    embeds = args.features is None or args.checkpoint is not None
    content = _content(args, _predictor_of(manifest, args) if embeds else None)
    if manifest.model and not content.model and not embeds:
        raise ValueError(
            f"{args.gallery} was made by model {_model(manifest)}: say which checkpoint made {args.features} with "
            "--checkpoint, since the file does not."
        )
    _check(manifest, args.features, content.dimensions, content.model)
    store.add(args.gallery, content.batches, args.wait)
    return info(args) + content.note


def calibrate_again(args: argparse.Namespace) -> str:
    """Sets the threshold of a gallery."""
    store.set_calibration(args.gallery, _calibration(args, Gallery(args.gallery).manifest), args.wait)
    return info(args)


def query(args: argparse.Namespace) -> str:
    """Searches for one tracklet."""
    gallery = Gallery(args.gallery)
    calibration = gallery.manifest.calibration
    (embedding, (asking,)), note = _query(args, gallery.manifest)
    found = gallery.search(embedding, args.top, exact=args.exact)
    hits = [
        Hit(rank, score, score >= calibration.threshold if calibration else None, *gallery.records(row, row + 1))
        for rank, score, row in zip(range(1, args.top + 1), *(part[0].tolist() for part in found), strict=False)
        if row >= 0
    ]
    shown = [hit for hit in hits if args.all or hit.match is not False]
    lines = [_table(shown, args.all and calibration is not None), *_verdict(hits, calibration, len(gallery))]
    if not shown:
        lines[0] = f"No match: the best score is {max((hit.score for hit in hits), default=-1):.4f}."
    if args.picture is not None:
        draw(asking, shown).save(args.picture)
        lines.append(f"Picture: {args.picture}")
    return "\n".join(lines) + note


def info(args: argparse.Namespace) -> str:
    """The facts about a gallery, one per line."""
    manifest = Gallery(args.gallery).manifest
    size = sum(path.stat().st_size for path in args.gallery.iterdir())
    index, calibration, search, threshold = manifest.index, manifest.calibration, "exact", "none: calibrate sets one"
    if index is not None:
        search = f"{index.kind}, effort {index.effort}, over {index.rows:,} (recall@10 {index.recall:.3f}), else exact"
    if calibration is not None:
        threshold = (
            f"{calibration.threshold:.4f}, which {calibration.false_match_rate:.3g} of {calibration.different:,} pairs "
            f"of different people reach; asked for: {calibration.asked:g}"
        )
    lines = [
        ("gallery", args.gallery),
        ("tracklets", f"{manifest.rows:,} of {manifest.dimensions} dimensions, {size / 2**20:,.1f} MiB"),
        ("model", _model(manifest)),
        ("search", search if manifest.kind == search else f"{search}; asked for: {manifest.kind}"),
        ("threshold", threshold),
    ]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def export(args: argparse.Namespace) -> str:
    """Writes a gallery for other databases; their files have the tracklets in the order of its rows."""
    gallery, lines = Gallery(args.gallery), []
    args.to.mkdir(parents=True, exist_ok=True)
    for kind in dict.fromkeys(args.format):
        name, write = _FORMATS[kind]
        replace_atomically(args.to / name, lambda part, write=write: write(gallery, part))  # type: ignore[misc]
        lines.append(f"{args.to / name}: {(args.to / name).stat().st_size / 2**20:,.1f} MiB")
    return "\n".join(lines)


class _Content(NamedTuple):
    """The tracklets that the options name, and what there is to say about them."""

    dimensions: int
    model: str | None
    batches: Iterator[Batch]
    note: str = ""


def _content(args: argparse.Namespace, predictor: TrackletPredictor | None) -> _Content:
    if args.features is not None:
        data = load_features(args.features)
        batch = of_features(data, args.features, args.direction)
        return _Content(batch[0].shape[1], data.protocol.get("model"), iter([batch]))
    if predictor is None:
        raise ValueError("Frames are embedded by a model: name its checkpoint with --checkpoint.")
    entries, reader = [], None
    if args.dataset is None:
        entries = of_options(args)
    else:
        cfg = predictor.cfg.clone()
        cfg.defrost()
        if args.root is not None:
            cfg.DATASETS.ROOT = str(args.root)
        entries, reader = of_dataset(cfg, args.dataset, args.direction)
    batches, note = embedded(predictor, entries, reader), _without_camera(predictor, entries)
    return _Content(predictor.dimensions, predictor.fingerprint, batches, note)


def _query(args: argparse.Namespace, manifest: Manifest) -> tuple[Batch, str]:
    """The embedding of the querying tracklet, (1, F), with its record."""
    if args.features is None:
        predictor, entries = _predictor_of(manifest, args), of_options(args)
        if len(entries) != 1:
            raise ValueError(f"A query is one tracklet; {len(entries)} are given.")
        return next(embedded(predictor, entries, None)), _without_camera(predictor, entries)
    data = load_features(args.features)
    features = np.asarray(data.features)
    if args.row is None or not 0 <= args.row < len(features):
        raise ValueError(f"{args.features} has the rows 0..{len(features) - 1}: say which with --row, not {args.row}.")
    if args.checkpoint is not None:
        _predictor_of(manifest, args)
    _check(manifest, args.features, features.shape[1], data.protocol.get("model"))
    return (unit_rows(features[[args.row]], args.features), [Record(source=f"{args.features}#{args.row}")]), ""


def _predictor_of(manifest: Manifest, args: argparse.Namespace) -> TrackletPredictor:
    """The model that made the gallery: from the checkpoint that is given, or from where it was."""
    path: Path | None = args.checkpoint or (Path(manifest.checkpoint) if manifest.checkpoint else None)
    if manifest.model is None or path is None:
        raise ValueError(
            f"{args.gallery} was built from features, and it is not known which model made them: build it with "
            "--checkpoint FILE as well, or give --features."
        )
    predictor = TrackletPredictor(path, args.device, args.settings or manifest.settings)
    _check(manifest, path, predictor.dimensions, predictor.fingerprint)
    return predictor


def _without_camera(predictor: TrackletPredictor, entries: Sequence[Entry]) -> str:
    count = sum(not predictor.knows_camera(entry.record.camera) for entry in entries)
    if not predictor.cameras or not count:
        return ""
    known = ", ".join(map(str, predictor.cameras))
    return f"\n{count} of {len(entries)} tracklets embedded without a camera: training knew the cameras {known}."


def _calibration(args: argparse.Namespace, manifest: Manifest) -> Calibration:
    data = load_features(args.calibrate)
    _check(manifest, args.calibrate, np.asarray(data.features).shape[1], data.protocol.get("model"))
    return calibrate(data, args.false_match_rate, args.direction)


def _check(manifest: Manifest, file: Path, dimensions: int, model: str | None) -> None:
    """Refuses a checkpoint or features of another model, as far as it is known, or of other dimensions."""
    if model and manifest.model and model != manifest.model:
        raise ValueError(
            f"{file} is of model {model[:12]}, and the gallery of {_model(manifest)}: their embeddings cannot be "
            "compared. Give the gallery's checkpoint and settings, or build it anew."
        )
    if dimensions != manifest.dimensions:
        raise ValueError(f"{file} has {dimensions} dimensions, where {manifest.dimensions} are needed.")


def _model(manifest: Manifest) -> str:
    if manifest.model is None:
        return "not known"
    return " ".join([manifest.model[:12], f"({manifest.checkpoint})", *manifest.settings])


def _table(hits: Sequence[Hit], marked: bool) -> str:
    rows = [
        [
            *(rank, f"{score:.4f}", *(["yes" if match else "no"] if marked else [])),
            *(record.identity or record.source, "" if record.camera is None else record.camera, record.when),
        ]
        for rank, score, match, record in hits
    ]
    headers = ["rank", "score", *(["match"] if marked else []), "identity or source", "camera", "time"]
    return tabulate(rows, headers, disable_numparse=True)


def _verdict(hits: Sequence[Hit], calibration: Calibration | None, size: int) -> list[str]:
    """What the threshold lets through and what it misses."""
    if calibration is None:
        return ["No threshold: which of them are the same person is not known. tools/gallery.py calibrate sets one."]
    matches, strangers = sum(bool(hit.match) for hit in hits), calibration.false_match_rate * size
    more = " --top shows more." if matches == len(hits) < size else " --all shows the nearest." if not matches else ""
    count = f"{strangers:,.0f}" if strangers >= 10 else f"{strangers:.2g}"
    lines = [
        f"{matches} of the {len(hits)} nearest reach the threshold {calibration.threshold:.4f}.{more}",
        f"Of pairs of different people {calibration.false_match_rate:.2g} reach it: for somebody who is not here, "
        f"about {count} of these {size:,} tracklets.",
    ]
    kept = calibration.true_match_rate
    if kept is not None:
        doubt = ": a person without a match may be here all the same" if kept < _SURE else ""
        lines.append(f"It misses {1 - kept:.1%} of the pairs of one person{doubt}.")
    return lines


def _write_npy(gallery: Gallery, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, gallery.embeddings)


def _write_parquet(gallery: Gallery, path: Path) -> None:
    reader = _arrow(gallery)
    with _imported("pyarrow.parquet").ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_duckdb(gallery: Gallery, path: Path) -> None:
    with _imported("duckdb").connect(str(path)) as connection:
        connection.register("batches", _arrow(gallery))
        connection.execute("CREATE TABLE tracklets AS SELECT * FROM batches")


def _arrow(gallery: Gallery) -> Any:
    """All tracklets as Arrow's record batches, so that neither writer nor reader holds more than some thousand."""
    arrow, dimensions = _imported("pyarrow"), gallery.manifest.dimensions
    text, whole, moment = arrow.string(), arrow.int64(), arrow.timestamp("us", tz="UTC")
    columns = {"id": whole, "embedding": arrow.list_(arrow.float32(), dimensions), "identity": text, "source": text}
    schema = arrow.schema({**columns, "camera": whole, "time": moment, "modality": text, "frames": text})

    def batches() -> Iterator[Any]:
        for start in tqdm(range(0, len(gallery), _ROWS_PER_GROUP), "Exporting", leave=False, disable=None):
            embeddings = gallery.embeddings[start : start + _ROWS_PER_GROUP]
            records = gallery.records(start, start + len(embeddings))
            values: dict[str, Any] = {name: [getattr(r, name) for r in records] for name in Record._fields}
            values["id"] = range(start, start + len(records))
            values["embedding"] = arrow.FixedSizeListArray.from_arrays(arrow.array(embeddings.ravel()), dimensions)
            values["time"] = [None if time is None else round(time * 1e6) for time in values["time"]]
            values["frames"] = [json.dumps(frames) for frames in values["frames"]]
            yield arrow.record_batch([arrow.array(values[field.name], field.type) for field in schema], schema)

    return arrow.RecordBatchReader.from_batches(schema, batches())


_FORMATS = {
    "npy": ("embeddings.npy", _write_npy),
    "parquet": ("tracklets.parquet", _write_parquet),
    "duckdb": ("gallery.duckdb", _write_duckdb),
}


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"The export needs {name}: pip install pyarrow duckdb.") from error
