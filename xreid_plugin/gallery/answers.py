"""What the gallery tool prints: the table and the strips of a search, and the facts about a gallery."""

from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from xreid_plugin.gallery.manifest import Calibration, Manifest
from xreid_plugin.gallery.picture import Strip
from xreid_plugin.gallery.records import Record

_SHOWN_OF_A_FINGERPRINT = 12
# If a threshold finds a smaller share of the pairs of one person, "no match" says little.
_SURE = 0.9
_REMEDY = "tools/gallery.py calibrate sets one."


class Hit(NamedTuple):
    """A tracklet that a search has found."""

    rank: int
    score: float
    record: Record


def answer(hits: list[Hit], calibration: Calibration | None, everything: bool, size: int) -> str:
    """The table of a search, and what the threshold says about it.

    Args:
        hits: the nearest tracklets.
        calibration: decides which of them match; None where the gallery has no threshold.
        everything: whether to show also those that do not match.
        size: tracklets in the gallery.
    """
    if calibration is None:
        return f"{_table(hits, None)}\nNo threshold: which of them are the same person is not known. {_REMEDY}"
    matches = [hit for hit in hits if calibration.accepts(hit.score)]
    threshold, meaning = f"the threshold {calibration.threshold:.4f}.", _meaning(calibration, size)
    if everything:
        return f"{_table(hits, calibration)}\n{len(matches)} of these {len(hits)} reach {threshold}\n{meaning}"
    if matches:
        more = " --top shows more." if len(matches) == len(hits) < size else ""
        nearest = f"{len(matches)} of the {len(hits)} nearest reach {threshold}{more}"
        return f"{_table(matches, None)}\n{nearest}\n{meaning}"
    best = f"the best score is {hits[0].score:.4f}. " if hits else ""
    return f"No match: {best}Nothing reaches {threshold} --all shows the nearest.\n{meaning}"


def _table(hits: list[Hit], calibration: Calibration | None) -> str:
    """The table, with a column for matches if there is a calibration."""
    rows = [
        [
            hit.rank,
            f"{hit.score:.4f}",
            *([] if calibration is None else ["yes" if calibration.accepts(hit.score) else "no"]),
            hit.record.identity or hit.record.source,
            "" if hit.record.camera is None else hit.record.camera,
            hit.record.when,
        ]
        for hit in hits
    ]
    headers = ["rank", "score", *([] if calibration is None else ["match"]), "identity or source", "camera", "time"]
    return tabulate(rows, headers, disable_numparse=True)


def _meaning(calibration: Calibration, size: int) -> str:
    """What a threshold lets through and what it misses."""
    by_chance = calibration.false_match_rate * size
    count = f"{by_chance:,.0f}" if by_chance >= 10 else f"{by_chance:.2g}"
    through = (
        f"Of pairs of different people {calibration.false_match_rate:.2g} reach it: for somebody who is not here, "
        f"about {count} of these {size:,} tracklets."
    )
    kept = calibration.true_match_rate
    if kept is None:
        return through
    doubt = ": a person without a match may be here all the same" if kept < _SURE else ""
    return f"{through}\nIt misses {1 - kept:.1%} of the pairs of one person{doubt}."


def strips(asking: Record, hits: list[Hit], calibration: Calibration | None, everything: bool) -> list[Strip]:
    """The rows of the picture of a search: the query, then what :func:`answer` shows, green where it matches."""
    shown = [hit for hit in hits if everything or calibration is None or calibration.accepts(hit.score)]
    title = "query" if shown else f"query: no match (best score {hits[0].score:.4f})" if hits else "query: no match"
    rows = [Strip(f"{title}\n{asking.source}", asking.frames, "black")]
    for hit in shown:
        below = calibration is not None and not calibration.accepts(hit.score)
        place = ", ".join(
            filter(None, [hit.record.identity, f"camera {hit.record.camera}" if hit.record.camera is not None else ""])
        )
        verdict = " no match" if below else ""
        caption = f"{hit.rank}: {hit.score:.4f}{verdict}  {place}  {hit.record.when}\n{hit.record.source}"
        # Without a threshold nothing counts as a match.
        colour = "grey" if calibration is None else "firebrick" if below else "seagreen"
        rows.append(Strip(caption, hit.record.frames, colour))
    return rows


def facts(folder: Path, manifest: Manifest, size: int) -> str:
    """The facts about a gallery, one per line; ``size`` is in bytes."""
    index, parts = manifest.index, len(manifest.segments)
    segments = "1 segment" if parts == 1 else f"{parts} segments"
    lines = [
        ("gallery", str(folder)),
        ("tracklets", f"{manifest.rows:,} of {manifest.dimensions} dimensions, in {segments}"),
        ("on disk", f"{size / 2**20:,.1f} MiB"),
        ("model", describe_model(manifest)),
        ("search", "exact" + (f" ({manifest.kind} from more tracklets on)" if manifest.kind != "exact" else "")),
        ("threshold", _threshold(manifest.calibration)),
    ]
    if index is not None:
        found = f"recall@10 {index.recall:.3f} beside exact search, on {index.sample} of its tracklets"
        behind = f"; the other {manifest.rows - index.rows:,} exactly" if manifest.rows > index.rows else ""
        lines[4] = ("search", f"{index.kind}, effort {index.effort}, over {index.rows:,}{behind}; {found}")
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _threshold(calibration: Calibration | None) -> str:
    if calibration is None:
        return "none: build or calibrate with --calibrate features.npz"
    kept = calibration.true_match_rate
    of_same = "" if kept is None else f", {kept:.1%} of {calibration.same:,} pairs of one person"
    return (
        f"{calibration.threshold:.4f}, which {calibration.false_match_rate:.3g} of {calibration.different:,} pairs of "
        f"different people reach{of_same}; asked for: {calibration.asked:g}"
    )


def describe_model(manifest: Manifest) -> str:
    """Fingerprint, checkpoint and settings of the model that made a gallery, as far as they are known."""
    if manifest.model is None:
        return "not known"
    changed = f" with {' '.join(manifest.settings)}" if manifest.settings else ""
    return f"{shortened(manifest.model)} ({manifest.checkpoint}{changed})"


def shortened(fingerprint: str) -> str:
    """Enough of a fingerprint to distinguish it from others."""
    return fingerprint[:_SHOWN_OF_A_FINGERPRINT]
