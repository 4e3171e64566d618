"""The answers to queries: what is nearest to each in a gallery, or the best matching of both.

The similarity of two tracklets is the cosine of their embeddings: 1 for the same, -1 at the least.

Shapes: Q queries, F dimensions, n rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

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
