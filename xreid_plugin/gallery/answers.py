"""What the gallery tool answers: the table and the strips of a search, and what a gallery is."""

from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from xreid_plugin.gallery.manifest import Calibration, Manifest
from xreid_plugin.gallery.picture import Strip
from xreid_plugin.gallery.records import Record

_SHOWN_OF_A_FINGERPRINT = 12


class Hit(NamedTuple):
    """A tracklet that a search has found."""

    rank: int
    score: float
    record: Record


def answer(matches: list[Hit], hits: list[Hit], calibration: Calibration | None, size: int) -> str:
    """The table of a search, and by which rule it ends.

    Args:
        matches: what is to be shown.
        hits: the nearest, of which those are some.
        calibration: by which they were chosen; None where all are shown.
        size: tracklets in the gallery.
    """
    rows = [
        [
            hit.rank,
            f"{hit.score:.4f}",
            hit.record.identity or hit.record.source,
            "" if hit.record.camera is None else hit.record.camera,
            hit.record.when,
        ]
        for hit in matches
    ]
    table = tabulate(rows, ["rank", "score", "identity or source", "camera", "time"], disable_numparse=True)
    if calibration is None:
        return f"{table}\nEvery score is shown: no threshold was applied."
    by_chance = calibration.false_match_rate * size
    rule = (
        f"the threshold {calibration.threshold:.4f} (false-match rate {calibration.asked:g} a pair, so about "
        f"{by_chance:.2g} of these {size:,} by chance)"
    )
    if not matches:
        best = f"; the best score is {hits[0].score:.4f}" if hits else ""
        return f"No match: nothing reaches {rule}{best}. --all shows the nearest."
    return f"{table}\n{len(matches)} of the {len(hits)} nearest reach {rule}."


def strips(asking: Record, matches: list[Hit], hits: list[Hit]) -> list[Strip]:
    """The rows of the picture of a search: the query, then what matches it."""
    title = "query" if matches else f"query: no match (best score {hits[0].score:.4f})" if hits else "query: no match"
    rows = [Strip(f"{title}\n{asking.source}", asking.frames, "black")]
    for hit in matches:
        place = ", ".join(
            filter(None, [hit.record.identity, f"camera {hit.record.camera}" if hit.record.camera is not None else ""])
        )
        caption = f"{hit.rank}: {hit.score:.4f}  {place}  {hit.record.when}\n{hit.record.source}"
        rows.append(Strip(caption, hit.record.frames, "seagreen"))
    return rows


def facts(folder: Path, manifest: Manifest, size: int) -> str:
    """What a gallery is, a line a fact; ``size`` is in bytes."""
    index = manifest.index
    lines = [
        ("gallery", str(folder)),
        ("tracklets", f"{manifest.rows:,} of {manifest.dimensions} dimensions, in {len(manifest.segments)} segments"),
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
    """Enough of a fingerprint to tell it from others."""
    return fingerprint[:_SHOWN_OF_A_FINGERPRINT]
