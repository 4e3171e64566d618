"""The page about a search: one HTML file with each query's frames and those found, which needs nothing else."""

from collections.abc import Sequence
from typing import Any

from xreid_plugin.gallery.answers import Answer, printable, verdict
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery
from xreid_plugin.visualization.page import data_uri, render_page


def search_page(gallery: Gallery, answers: Sequence[Answer], searched: int, filters: Sequence[str] = ()) -> str:
    """The page as HTML; all text that does not come from the template is escaped.

    Args:
        gallery: that was searched.
        answers: of :func:`~xreid_plugin.gallery.answers.answer`.
        searched: number of tracklets that were searched.
        filters: by which they were chosen, in words.
    """
    calibration = gallery.manifest.calibration
    shown = [
        {
            **_tracklet(asking),
            "nearest": nearest,
            "found": [_tracklet(hit.record) | hit._asdict() for hit in hits],
        }
        for asking, hits, nearest in answers
    ]
    return render_page(
        "search.html",
        name=printable(gallery.folder.resolve().name),
        model=gallery.manifest.model[:12],
        searched=searched,
        filters=filters,
        threshold=calibration and calibration.threshold,
        verdict=list(verdict(answers, calibration, searched)),
        answers=shown,
    )


def _tracklet(record: Record) -> dict[str, Any]:
    """A tracklet's title, what else is known of it as pairs of words, and its strip."""
    facts = {"camera": record.camera, "modality": record.modality, "time": record.when}
    if record.identity:
        facts["from"] = record.origin
    return {
        "title": printable(record.identity or record.origin),
        "facts": {name: printable(value) for name, value in facts.items() if value},
        "strip": data_uri(record.strip, "jpeg") if record.strip else None,
    }
