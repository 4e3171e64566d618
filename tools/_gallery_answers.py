"""What the gallery tool shows of answers: a table, JSON, CSV, and a page with the frames of all of them."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from xreid_plugin.gallery.answers import Answer, Hit
from xreid_plugin.gallery.records import Manifest, Record
from xreid_plugin.gallery.store import Gallery
from xreid_plugin.user_errors import printable

# The similarity of what stands first, shown or not, by whether tracklets were assigned.
_BEST = {False: "nearest_similarity", True: "assigned_similarity"}


def as_table(answers: Sequence[Answer]) -> str:
    """For a console: a line per tracklet found, and one for each query without."""
    lines = []
    for asking, hits, nearest in answers:
        name = asking.identity or asking.origin
        for rank, similarity, match, record in hits:
            decided, found = {None: "", True: "yes", False: "no"}[match], record.identity or record.origin
            lines.append([name, rank, f"{similarity:.4f}", decided, found, record.camera, record.when])
            name = ""
        if not hits:
            lines.append([name, "", f"{nearest.similarity:.4f}" if nearest else "", "no match"])
    cells = [[printable(str(cell)) for cell in line] for line in lines]
    headers = ["query", "rank", "similarity", "match", "found", "camera", "time"]
    return tabulate(cells, headers, disable_numparse=True)


def as_json(answers: Sequence[Answer], facts: dict[str, Any], assign: bool = False) -> str:
    """All that is known of queries and of what was found, or assigned, below some facts about the search."""
    lists = [
        {
            "query": facts_of(query),
            _BEST[assign]: None if nearest is None else nearest.similarity,
            "found": [dict(zip(Hit._fields, hit[:3], strict=False)) | facts_of(hit.record) for hit in hits],
        }
        for query, hits, nearest in answers
    ]
    return json.dumps({**facts, "answers": lists}, indent=2) + "\n"


def as_csv(answers: Sequence[Answer], assign: bool = False) -> str:
    """A line per tracklet found, and one for each query without, whose rank is empty."""
    names = list(facts_of(Record()))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    asking_names = [f"query_{name}" for name in names]
    table.writerow([*asking_names, _BEST[assign], "rank", "similarity", "match", *names])
    for query, hits, nearest in answers:
        asking = [*facts_of(query).values(), nearest.similarity if nearest else ""]
        for hit in hits:
            table.writerow([*asking, *hit[:3], *facts_of(hit.record).values()])
        if not hits:
            table.writerow([*asking, *[""] * (3 + len(names))])
    return text.getvalue()


def facts_of(record: Record) -> dict[str, Any]:
    """What is known of a tracklet, but for its strip, ready for JSON; the time in ISO 8601, None where not known."""
    facts = record._asdict() | {"time": None if record.time is None else record.when}
    del facts["strip"], facts["digest"]
    return facts


def verdict(answers: Sequence[Answer], manifest: Manifest, size: int, own: float | None = None) -> Iterator[str]:
    """What the threshold lets through and what it misses, a sentence each.

    Args:
        answers: to all queries.
        manifest: of the gallery.
        size: number of tracklets that were searched.
        own: a threshold in place of the gallery's; its rates are not known.
    """
    calibration, threshold = manifest.calibration, manifest.threshold(own)
    if threshold is None:
        yield (
            "There is no threshold: whether any of them is the same person is not known. calibrate sets one, and "
            "--threshold gives one for this query."
        )
        return
    matched = sum(bool(found.nearest and found.nearest.match) for found in answers)
    yield f"{matched:,} of {len(answers):,} queries have a match, a similarity of {threshold:.4f} or more."
    if own is not None or calibration is None:
        yield "How many strangers reach this threshold, and how many true pairs do not, was not measured."
        return
    rate = calibration.false_match_rate
    count = f"{rate * size:,.0f}" if rate * size >= 10 else f"{rate * size:.2g}"
    yield f"{100 * rate:.3g}% of pairs of different people reach it: a stranger has about {count} matches here."
    if calibration.true_match_rate is not None:
        missed = 1 - calibration.true_match_rate
        doubt = ": a person without a match may be here all the same" if missed > 0.1 else ""
        yield f"{missed:.1%} of the pairs of one person do not{doubt}."


def search_page(
    gallery: Gallery,
    answers: Sequence[Answer],
    searched: int,
    filters: Sequence[str] = (),
    threshold: float | None = None,
) -> str:
    """The page as HTML; all text that does not come from the template is escaped.

    Args:
        gallery: that was searched.
        answers: of :func:`~xreid_plugin.gallery.answers.answer`.
        searched: number of tracklets that were searched.
        filters: by which they were chosen, in words.
        threshold: in place of the gallery's.
    """
    # It brings matplotlib along.
    from xreid_plugin.visualization.panels import render_page

    shown = [
        {**_tracklet(asking), "nearest": nearest, "found": [_tracklet(hit.record) | hit._asdict() for hit in hits]}
        for asking, hits, nearest in answers
    ]
    return render_page(
        "search.html",
        name=printable(gallery.folder.resolve().name),
        model=gallery.manifest.model[:12],
        searched=searched,
        filters=filters,
        threshold=gallery.manifest.threshold(threshold),
        verdict=list(verdict(answers, gallery.manifest, searched, threshold)),
        answers=shown,
    )


def _tracklet(record: Record) -> dict[str, Any]:
    """A tracklet's title, what else is known of it as pairs of words, and its strip."""
    from xreid_plugin.visualization.panels import data_uri

    facts = {"camera": record.camera, "modality": record.modality, "time": record.when}
    if record.identity:
        facts["from"] = record.origin
    return {
        "title": printable(record.identity or record.origin),
        "facts": {name: printable(value) for name, value in facts.items() if value},
        "strip": data_uri(record.strip, "jpeg") if record.strip else None,
    }
