"""What the gallery tool does, a function per command: arguments in, text out."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _gallery_answers import as_csv, as_json, as_table, search_page, verdict
from _gallery_export import export as export  # one of the commands
from _gallery_sources import (
    are_drawn,
    embedded,
    new_ones,
    of_dataset,
    of_features,
    of_options,
    parse_time,
    searched_rows,
    tell,
    tell_of_repeats,
)
from tabulate import tabulate

from xreid_plugin.evaluation.features import TrackletFeatures, load_features
from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery import store
from xreid_plugin.gallery.answers import answer
from xreid_plugin.gallery.calibration import Calibration, calibrate
from xreid_plugin.gallery.records import Manifest, Selection, local_time
from xreid_plugin.gallery.store import Batch, Gallery
from xreid_plugin.predictor import TrackletPredictor
from xreid_plugin.user_errors import printable

_QUERIES_SHOWN = 30


def build(args: argparse.Namespace) -> str:
    """Makes a gallery."""
    if not 0 < args.recall <= 1:
        raise ValueError(f"--recall is {args.recall}; it must lie above 0 and not above 1.")
    manifest = Manifest(0, kind=args.index, recall_wanted=args.recall)
    if args.features is not None:
        data, model = _features(args.features)
        manifest = replace(manifest, dimensions=np.asarray(data.features).shape[1], model=model)
    if args.checkpoint is not None:
        predictor = TrackletPredictor(args.checkpoint, args.device, args.settings)
        if args.features is not None:
            _check(manifest, args.checkpoint, predictor.fingerprint)
        manifest = replace(
            manifest,
            dimensions=predictor.dimensions,
            model=predictor.fingerprint,
            checkpoint=str(predictor.checkpoint.resolve()),
            settings=tuple(args.settings),
        )
    elif args.features is None:
        raise ValueError("Frames are embedded by a model: name its checkpoint with --checkpoint.")
    people: set[str] = set()
    if args.calibrate:
        calibration, people = _calibration(args, manifest)
        manifest = replace(manifest, calibration=calibration)
    batches, drawn = _batches(args, manifest, set(), None if args.features else predictor)
    store.create(args.gallery, manifest, args.wait)
    _add(args, batches, drawn)
    _warn_of_known(people, args)
    return info(args)


def add(args: argparse.Namespace) -> str:
    """Adds to a gallery."""
    gallery = Gallery(args.gallery)
    batches, drawn = _batches(args, gallery.manifest, gallery.known("digest"))
    _add(args, batches, drawn)
    return info(args)


def calibrate_again(args: argparse.Namespace) -> str:
    """Sets the threshold of a gallery."""
    calibration, people = _calibration(args, Gallery(args.gallery).manifest)
    store.set_calibration(args.gallery, calibration, args.wait)
    _warn_of_known(people, args)
    return info(args)


def query(args: argparse.Namespace) -> str:
    """Searches for one tracklet, or for each of many."""
    if args.threshold is not None and not -1 <= args.threshold <= 1:
        raise ValueError(f"--threshold is {args.threshold}; it must lie between -1 and 1, as similarities do.")
    gallery = Gallery(args.gallery)
    among = gallery.select(_selection(args))
    searched = len(gallery) if among is None else len(among)
    if not searched and len(gallery):
        there = {word: ", ".join(sorted(map(repr, gallery.known(word)))) for word in ("camera", "modality")}
        has = "; ".join(f"{word} {names}" for word, names in there.items() if names)
        raise ValueError(f"The filters leave no tracklet of {args.gallery}, which has {has or 'no labels'}.")
    (queries, records), asking_drawn = _queries(args, gallery.manifest)
    if not records:
        raise ValueError("There is no tracklet to search for.")
    answers = answer(
        gallery,
        queries,
        records,
        top=args.top,
        among=among,
        exact=args.exact,
        assign=args.assign,
        below=args.all,
        threshold=args.threshold,
    )
    # Nobody should take what is found for drawn people, or among them, for results on real ones.
    drawn = ["queries"] * asking_drawn + ["gallery"] * gallery.manifest.drawn
    lines = [as_table(answers[:_QUERIES_SHOWN]), *verdict(answers, gallery.manifest, searched, args.threshold)]
    if len(answers) > _QUERIES_SHOWN:
        lines.insert(1, f"And {len(answers) - _QUERIES_SHOWN:,} queries more: --csv, --json and --html have them all.")
    if drawn:
        lines.append(f"Of drawn people, not of real ones: {' and '.join(drawn)}.")
    facts = {
        "gallery": str(args.gallery),
        "model": gallery.manifest.model,
        "threshold": gallery.manifest.threshold(args.threshold),
        "tracklets_searched": searched,
        "drawn_people": drawn,
    }
    for file, text in [
        (args.json, lambda: as_json(answers, facts, args.assign)),
        (args.csv, lambda: as_csv(answers, args.assign)),
        (args.html, lambda: _page(gallery, answers, searched, drawn, args)),
    ]:
        if file is not None:
            content = text()
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(file, lambda part, content=content: part.write_text(content, encoding="utf-8"))  # type: ignore[misc]
            lines.append(f"Written to {file}")
    return "\n".join(lines)


def _page(gallery: Gallery, answers: Any, searched: int, drawn: Sequence[str], args: argparse.Namespace) -> str:
    times = {"not before": parse_time(args.after or ""), "not after": parse_time(args.before or "")}
    given = {
        "modality": args.only_modality,
        "camera": args.only_camera,
        "identity": args.only_identity,
        **{name: local_time(time) for name, time in times.items() if time is not None},
    }
    filters = [f"{name} {printable(value)}" for name, value in given.items() if value]
    more = ["one-to-one"] * args.assign + [f"{part} of drawn people" for part in drawn]
    return search_page(gallery, answers, searched, filters + more, args.threshold)


def list_all(args: argparse.Namespace) -> str:
    """The tracklets of a gallery, a line each."""
    gallery = Gallery(args.gallery)
    records = gallery.records(gallery.select(_selection(args)), strips=False)
    lines = [
        [record.number, record.identity, record.source, record.track, record.camera, record.modality, record.when]
        for record in records
    ]
    headers = ["number", "identity", "from", "track", "camera", "modality", "time"]
    return tabulate([[printable(str(cell)) for cell in line] for line in lines], headers, disable_numparse=True)


def remove(args: argparse.Namespace) -> str:
    """Removes tracklets from a gallery."""
    selection = _selection(args)
    if selection == Selection():
        raise ValueError("Say which tracklets to remove: by their numbers, as list shows them, or by a filter.")
    return f"Removed {_tracklets(store.remove(args.gallery, selection, args.wait))}.\n{info(args)}"


def info(args: argparse.Namespace) -> str:
    """The facts about a gallery, one per line."""
    gallery = Gallery(args.gallery)
    manifest = gallery.manifest
    index, calibration, search, threshold = manifest.index, manifest.calibration, "exact", "none: calibrate sets one"
    if index is not None:
        search = f"{index.kind}, effort {index.effort}, over {index.rows:,} (recall@10 {index.recall:.3f}), else exact"
    if calibration is not None:
        threshold = (
            f"similarity {calibration.threshold:.4f}, which {calibration.false_match_rate:.3g} of "
            f"{calibration.different:,} pairs of different people reach; asked for: {calibration.asked:g}"
        )
    lines = [
        ("gallery", args.gallery),
        ("tracklets", f"{manifest.rows:,} of {manifest.dimensions} dimensions, {gallery.size / 2**20:,.1f} MiB"),
        ("model", _model(manifest)),
        ("search", search if manifest.kind == search else f"{search}; asked for: {manifest.kind}"),
        ("threshold", threshold),
        *([("people", "drawn ones are among them, so that what is found is no result on real ones")] * manifest.drawn),
    ]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _add(args: argparse.Namespace, batches: Iterator[Batch], drawn: bool) -> None:
    """Adds to the gallery, and tells the numbers, by which ``remove`` knows them."""
    count = store.add(args.gallery, batches, args.wait, drawn)
    gallery = Gallery(args.gallery)
    ends = gallery.records([len(gallery) - count, len(gallery) - 1] if count else [], strips=False)
    numbers = " to ".join(dict.fromkeys(str(record.number) for record in ends))
    tell(f"Added {_tracklets(count)}{', numbered ' if ends else ''}{numbers}.")


def _tracklets(count: int) -> str:
    return f"{count:,} tracklet{'' if count == 1 else 's'}"


def _batches(
    args: argparse.Namespace, manifest: Manifest, digests: set[str], predictor: TrackletPredictor | None = None
) -> tuple[Iterator[Batch], bool]:
    """The tracklets that the options name, without those of the digests, and whether drawn people are among them."""
    if args.features is not None:
        data, model = _features(args.features)
        _check(manifest, args.features, model)
        rows, records = of_features(data, args.features, searched_rows(data.tasks, args.direction, len(data.pids)))
        new = [place for place, record in enumerate(records) if record.digest not in digests]
        tell_of_repeats(len(records) - len(new))
        return iter([(rows[new], [records[place] for place in new])]), bool(data.protocol.get("drawn"))
    predictor = predictor or _predictor_of(manifest, args)
    if args.dataset is None:
        sources, reader = of_options(args, predictor), None
        drawn = are_drawn(sources)
    else:
        cfg = predictor.cfg.clone()
        cfg.defrost()
        if args.root is not None:
            cfg.DATASETS.ROOT = str(args.root)
        sources, reader, drawn = of_dataset(cfg, args.dataset, args.direction)
    return embedded(predictor, new_ones(sources, digests), reader), drawn


def _queries(args: argparse.Namespace, manifest: Manifest) -> tuple[Batch, bool]:
    """The embeddings of the querying tracklets, (Q, F), with their records, and whether drawn people are among them."""
    if args.other is not None:
        other = Gallery(args.other)
        _check(manifest, args.other, other.manifest.model)
        return (other.embeddings, other.records()), other.manifest.drawn
    if args.features is not None:
        data, model = _features(args.features)
        _check(manifest, args.features, model)
        if args.row is not None and not 0 <= args.row < len(data.pids):
            raise ValueError(f"{args.features} has the rows 0..{len(data.pids) - 1}, and no row {args.row}.")
        batch = of_features(data, args.features, None if args.row is None else [args.row])
        return batch, bool(data.protocol.get("drawn"))
    predictor = _predictor_of(manifest, args)
    sources = of_options(args, predictor)
    parts = [(np.empty((0, manifest.dimensions), np.float32), []), *embedded(predictor, sources, None)]
    rows = np.concatenate([rows for rows, _ in parts])
    return (rows, [record for _, records in parts for record in records]), are_drawn(sources)


def _predictor_of(manifest: Manifest, args: argparse.Namespace) -> TrackletPredictor:
    """The model that made the gallery: from the checkpoint that is given, or from where it was."""
    path: Path | None = args.checkpoint or (Path(manifest.checkpoint) if manifest.checkpoint else None)
    if path is None:
        raise ValueError(f"{args.gallery} was built from features of {_model(manifest)}: name its --checkpoint.")
    predictor = TrackletPredictor(path, args.device, args.settings or manifest.settings)
    _check(manifest, path, predictor.fingerprint)
    return predictor


def _selection(args: argparse.Namespace) -> Selection:
    times = [parse_time(text or "") for text in (args.after, args.before)]
    numbers = getattr(args, "numbers", None) or None
    return Selection(numbers, args.only_identity, args.only_modality, args.only_camera, *times)


def _features(file: Path) -> tuple[TrackletFeatures, str]:
    """Saved features, and the fingerprint of their model."""
    data = load_features(file)
    model = data.protocol.get("model")
    if not model:
        raise ValueError(
            f"{file} does not say which model made its features, so that they may not be comparable: evaluate again, "
            'with TEST.SAVE_FEATURES; other programs give the file a "protocol" with a "model".'
        )
    return data, str(model)


def _calibration(args: argparse.Namespace, manifest: Manifest) -> tuple[Calibration, set[str]]:
    """The threshold, and the people it was measured on."""
    data, model = _features(args.calibrate)
    _check(manifest, args.calibrate, model)
    return calibrate(data, args.false_match_rate, args.direction), set(map(str, data.pids.tolist()))


def _warn_of_known(people: set[str], args: argparse.Namespace) -> None:
    """A threshold fits the people it was measured on too well."""
    both = people & Gallery(args.gallery).known("identity")
    if both:
        tell(
            f"Warning: {len(both):,} of the {len(people):,} people in {args.calibrate} are in the gallery, by their "
            "names. Measured on people who are in neither the gallery nor training, the threshold holds for others."
        )


def _check(manifest: Manifest, file: Path, model: str) -> None:
    """Refuses a checkpoint, features or a gallery of another model."""
    if model != manifest.model:
        raise ValueError(
            f"{file} is of model {model[:12]}, and the gallery of {_model(manifest)}: their embeddings cannot be "
            "compared. Give the gallery's checkpoint and settings, or build it anew."
        )


def _model(manifest: Manifest) -> str:
    return " ".join([manifest.model[:12], f"({manifest.checkpoint or 'file not known'})", *manifest.settings])
