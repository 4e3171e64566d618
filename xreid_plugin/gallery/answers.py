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

# What a similarity counts below the threshold, if 1 above it: what this can outweigh is less than float32 tells of a
# similarity, and float64 still tells such sums apart.
_TIE = 2.0**-30


class Hit(NamedTuple):
    """A tracklet near a query, and whether it reaches the threshold; None where there is none."""

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
    threshold: float | None = None,
) -> list[Answer]:
    """Searches a gallery for each query.

    Args:
        gallery: of the same model as the queries.
        queries: (Q, F) float32, rows of length 1.
        records: what is known of each query.
        top: greatest number of tracklets for a query.
        among: the only rows to search, ascending; None for all.
        exact: search exactly even where there is an approximate index.
        assign: give every query one tracklet of its own, by :func:`best_matching`.
        below: also show what is below the threshold.
        threshold: similarity, -1 to 1, from which on it is a match; None for the gallery's own, if it has one.
    """
    threshold = gallery.manifest.threshold(threshold)
    found = assigned(gallery, queries, among, threshold) if assign else gallery.search(queries, top, exact, among)
    rows = np.unique(found.rows[found.rows >= 0]).tolist()
    known = dict(zip(rows, gallery.records(rows), strict=True))
    answers = []
    for query, similarities, places in zip(records, *(part.tolist() for part in found), strict=True):
        hits = [
            Hit(rank, similarity, None if threshold is None else similarity >= threshold, known[row])
            for rank, (similarity, row) in enumerate(zip(similarities, places, strict=True), 1)
            if row >= 0
        ]
        shown = [hit for hit in hits if below or hit.match is not False]
        answers.append(Answer(query, shown, hits[0] if hits else None))
    return answers


def assigned(
    gallery: Gallery, queries: NDArray[np.float32], among: NDArray[np.int64] | None, threshold: float | None
) -> Found:
    """The best matching of queries and tracklets as one place a query, with row -1 where no tracklet is left."""
    rows = np.arange(len(gallery)) if among is None else among
    similarities = queries @ gallery.embeddings[rows].T
    asking, places = best_matching(similarities, threshold)
    found = Found(np.full((len(queries), 1), -np.inf, np.float32), np.full((len(queries), 1), -1, np.int64))
    found.similarities[asking, 0], found.rows[asking, 0] = similarities[asking, places], rows[places]
    return found


def best_matching(
    similarities: NDArray[np.float32], threshold: float | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The matching, in which each query and each row is at most once and that leaves none on one side, that is best.

    With a threshold that is the one with the greatest sum of what similarities exceed it by, so that pairs that are no
    match take nothing from those that are one; among equals, and without a threshold, the one with the greatest sum of
    similarities.

    Args:
        similarities: (Q, n), -1 to 1.
        threshold: from which on two are a match, or None.

    Returns:
        Queries, ascending, and their rows, (m,) each, where m is the lesser of Q and n.
    """
    gains = similarities.astype(np.float64)
    if threshold is not None:
        gains = np.maximum(gains, threshold) + _TIE * np.minimum(gains, threshold)
    return linear_sum_assignment(gains, maximize=True)
