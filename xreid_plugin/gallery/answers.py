"""The answers to queries: what is nearest to each in a gallery, as a table, as JSON, as CSV and as a page.

The similarity of two tracklets is the cosine of their embeddings: 1 for the same, -1 at the least.

Shapes: Q queries, F dimensions, n rows.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tabulate import tabulate

from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.index import Found
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery


class Hit(NamedTuple):
    """A tracklet near a query, and whether it reaches the threshold; None where the gallery has none."""

    rank: int
    similarity: float
    match: bool | None
    record: Record


class Answer(NamedTuple):
    """What is shown of the tracklets near one query, nearest first, and the nearest (or assigned), shown or not."""

    query: Record
    hits: list[Hit]
    nearest: Hit | None


def answer(
    gallery: Gallery,
    queries: NDArray[np.float32],
    records: Sequence[Record],
    *,
    top: int = 10,
    among: NDArray[np.int64] | None = None,
    exact: bool = False,
    assign: bool = False,
    below: bool = False,
) -> list[Answer]:
    """Searches a gallery for each query.

    Args:
        gallery: of the same model as the queries.
        queries: (Q, F) float32, rows of length 1.
        records: what is known of each query.
        top: greatest number of tracklets for a query.
        among: the only rows to search, ascending; None for all.
        exact: search exactly even where there is an approximate index.
        assign: give every query one tracklet of its own, so that the sum of the similarities is the greatest that
            there is; below the threshold, where there is one, they count no more than it.
        below: also show what is below the threshold.
    """
    calibration = gallery.manifest.calibration
    found = assigned(gallery, queries, among) if assign else gallery.search(queries, top, exact, among)
    rows = np.unique(found.rows[found.rows >= 0]).tolist()
    known = dict(zip(rows, gallery.records(rows), strict=True))
    answers = []
    for query, similarities, places in zip(records, *(part.tolist() for part in found), strict=True):
        hits = [
            Hit(rank, similarity, similarity >= calibration.threshold if calibration else None, known[row])
            for rank, (similarity, row) in enumerate(zip(similarities, places, strict=True), 1)
            if row >= 0
        ]
        shown = [hit for hit in hits if below or hit.match is not False]
        answers.append(Answer(query, shown, hits[0] if hits else None))
    return answers


def assigned(gallery: Gallery, queries: NDArray[np.float32], among: NDArray[np.int64] | None) -> Found:
    """The best matching of queries and tracklets, each at most once: one place a query, row -1 where none is left."""
    rows = np.arange(len(gallery)) if among is None else among
    similarities = queries @ gallery.embeddings[rows].T
    calibration = gallery.manifest.calibration
    # No two strangers are worth more than others.
    gains = similarities if calibration is None else np.maximum(similarities, calibration.threshold)
    asking, places = linear_sum_assignment(gains, maximize=True)
    found = Found(np.full((len(queries), 1), -np.inf, np.float32), np.full((len(queries), 1), -1, np.int64))
    found.similarities[asking, 0], found.rows[asking, 0] = similarities[asking, places], rows[places]
    return found


def printable(text: str) -> str:
    """A text with its line breaks, escape codes and whatever else is not printed written out, as \\n and \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


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


def as_json(answers: Sequence[Answer], facts: dict[str, Any]) -> str:
    """All that is known of queries and of what was found, below some facts about the search."""
    lists = [
        {
            "query": facts_of(query),
            "nearest_similarity": None if nearest is None else nearest.similarity,
            "found": [dict(zip(Hit._fields, hit[:3], strict=False)) | facts_of(hit.record) for hit in hits],
        }
        for query, hits, nearest in answers
    ]
    return json.dumps({**facts, "answers": lists}, indent=2) + "\n"


def as_csv(answers: Sequence[Answer]) -> str:
    """A line per tracklet found, and one for each query without, whose rank is empty."""
    names = list(facts_of(Record()))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    asking_names = [f"query_{name}" for name in names]
    table.writerow([*asking_names, "nearest_similarity", "rank", "similarity", "match", *names])
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


def verdict(answers: Sequence[Answer], calibration: Calibration | None, size: int) -> Iterator[str]:
    """What the threshold lets through and what it misses, a sentence each; ``size`` tracklets were searched."""
    if calibration is None:
        yield "There is no threshold: whether any of them is the same person is not known. calibrate sets one."
        return
    matched = sum(bool(found.nearest and found.nearest.match) for found in answers)
    yield f"{matched:,} of {len(answers):,} queries have a match, a similarity of {calibration.threshold:.4f} or more."
    rate = calibration.false_match_rate
    count = f"{rate * size:,.0f}" if rate * size >= 10 else f"{rate * size:.2g}"
    yield f"{100 * rate:.3g}% of pairs of different people reach it: a stranger has about {count} matches here."
    if calibration.true_match_rate is not None:
        missed = 1 - calibration.true_match_rate
        doubt = ": a person without a match may be here all the same" if missed > 0.1 else ""
        yield f"{missed:.1%} of the pairs of one person do not{doubt}."


def search_page(gallery: Gallery, answers: Sequence[Answer], searched: int, filters: Sequence[str] = ()) -> str:
    """The page as HTML; all text that does not come from the template is escaped.

    Args:
        gallery: that was searched.
        answers: of :func:`answer`.
        searched: number of tracklets that were searched.
        filters: by which they were chosen, in words.
    """
    # It brings matplotlib along.
    from xreid_plugin.visualization.page import render_page

    calibration = gallery.manifest.calibration
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
        threshold=calibration and calibration.threshold,
        verdict=list(verdict(answers, calibration, searched)),
        answers=shown,
    )


def _tracklet(record: Record) -> dict[str, Any]:
    """A tracklet's title, what else is known of it as pairs of words, and its strip."""
    from xreid_plugin.visualization.page import data_uri

    facts = {"camera": record.camera, "modality": record.modality, "time": record.when}
    if record.identity:
        facts["from"] = record.origin
    return {
        "title": printable(record.identity or record.origin),
        "facts": {name: printable(value) for name, value in facts.items() if value},
        "strip": data_uri(record.strip, "jpeg") if record.strip else None,
    }
