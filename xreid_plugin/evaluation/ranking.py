"""Ranking figures of a retrieval: cumulative matching (CMC), mean average precision (mAP) and mINP.

The place of a match is one more than the number of nearer gallery entries that the query may see. One sort of the bare
distances and a binary search for the few matches give it; the permutation that a full ranking needs is never made.

Shapes: Q queries, G gallery entries, C queries of one chunk, W the most matches that a query has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.evaluation.distances import blocks_of_features, blocks_of_matrix
from xreid_plugin.evaluation.matching import Array, Candidates, Matching, SameCamera

CURVE_RANKS = 50


@dataclass(frozen=True, eq=False)
class RankMetrics:
    """Figures over the queries that have at least one match.

    Attributes:
        cmc: requested rank k -> fraction, 0..1, of queries with a match among their k nearest.
        curve: (min(50, G),) float64, the same for k = 1, 2, ...
        mAP: mean of ``ap``, above 0, at most 1.
        mINP: mean of ``inp``, likewise.
        ap: (Q,) float64, average precision of each query; NaN where it has no match.
        inp: (Q,) float64, inverse negative penalty, matches / place of the last one (Ye et al., TPAMI 2021, AGW).
        num_query: Q.
        num_unmatched: queries without a match, left out of every mean.
    """

    cmc: Mapping[int, float]
    curve: NDArray[np.float64]
    mAP: float
    mINP: float
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    num_query: int
    num_unmatched: int


def rank_metrics(
    dist: Array,
    q_pids: Array,
    g_pids: Array,
    q_camids: Array,
    g_camids: Array,
    same_camera: SameCamera = "exclude",
    ranks: Sequence[int] = (1, 5, 10, 20),
    chunk_size: int | None = None,
) -> RankMetrics:
    """Ranking figures of a distance matrix.

    Entries at equal distance are ranked in the order of their gallery index.

    Args:
        dist: (Q, G) float, smaller is nearer; numpy, or torch on any device.
        q_pids: (Q,) integer, identities of the queries.
        g_pids: (G,) integer, identities of the gallery.
        q_camids: (Q,) integer, cameras of the queries.
        g_camids: (G,) integer, cameras of the gallery.
        same_camera: "exclude" hides gallery entries of the query's identity and camera (the Market-1501 rule); "keep"
            ranks them like any other.
        ranks: at least 1 each.
        chunk_size: queries ranked at a time; changes memory and speed only.

    Raises:
        ValueError: shapes do not fit, a distance is NaN or infinite, or no query has a match.
    """
    matching = Matching(q_pids, g_pids, q_camids, g_camids, same_camera)
    return _metrics(blocks_of_matrix(dist, matching.shape, chunk_size), matching, ranks)


def rank_metrics_from_features(
    q_features: Array,
    g_features: Array,
    q_pids: Array,
    g_pids: Array,
    q_camids: Array,
    g_camids: Array,
    same_camera: SameCamera = "exclude",
    ranks: Sequence[int] = (1, 5, 10, 20),
    chunk_size: int | None = None,
) -> RankMetrics:
    """Ranking figures under the cosine distance, of which only ``chunk_size`` rows exist at a time.

    Args:
        q_features: (Q, D) float of any norm; numpy, or torch on any device.
        g_features: (G, D) float, likewise; its device does the work.
        q_pids: see :func:`rank_metrics`, as for all that follow.
        g_pids: (G,) integer.
        q_camids: (Q,) integer.
        g_camids: (G,) integer.
        same_camera: "exclude" or "keep".
        ranks: at least 1 each.
        chunk_size: queries ranked at a time; changes memory, speed and the last bit of a distance.

    Raises:
        ValueError: shapes do not fit, a feature is NaN or infinite, or no query has a match.
    """
    matching = Matching(q_pids, g_pids, q_camids, g_camids, same_camera)
    return _metrics(blocks_of_features(q_features, g_features, matching.shape, chunk_size), matching, ranks)


def _metrics(blocks: Iterator[tuple[int, torch.Tensor]], matching: Matching, ranks: Sequence[int]) -> RankMetrics:
    if any(rank < 1 for rank in ranks):
        raise ValueError(f"ranks start at 1, but {tuple(ranks)} were asked for")
    num_query, num_gallery = matching.shape
    ap, inp, first = (np.full(num_query, np.nan) for _ in range(3))
    for start, block in blocks:
        part = slice(start, start + len(block))
        candidates = matching.candidates(part.start, part.stop, block.device)
        places = match_places(block, candidates).cpu().numpy()
        ap[part], inp[part], first[part] = _query_figures(places, candidates.matches.sum(1).cpu().numpy())
    matched = ~np.isnan(first)
    if not matched.any():
        raise ValueError(
            f"none of the {num_query} queries has a match in the gallery: identities do not overlap, or every match "
            'shares the camera of its query and same_camera is "exclude"'
        )
    first = np.sort(first[matched])

    def reached(k: Any) -> Any:
        return np.searchsorted(first, k, side="right") / len(first)

    return RankMetrics(
        cmc={rank: float(reached(rank)) for rank in ranks},
        curve=reached(np.arange(1, min(CURVE_RANKS, num_gallery) + 1)),
        mAP=float(ap[matched].mean()),
        mINP=float(inp[matched].mean()),
        ap=ap,
        inp=inp,
        num_query=num_query,
        num_unmatched=int(num_query - matched.sum()),
    )


def match_places(block: torch.Tensor, candidates: Candidates) -> torch.Tensor:
    """Places, from 1, of the matches of each query among the entries that are not hidden from it.

    Args:
        block: (C, G) float, finite; excluded entries are overwritten with infinity.
        candidates: the entries of the queries' identities, on the device of ``block``.

    Returns:
        (C, W) int64, ascending along W; padding comes last, as G + 1.
    """
    columns, matches, excluded = candidates
    num_gallery = block.shape[1]
    rows = torch.arange(len(block), device=block.device)[:, None].expand_as(columns)
    block[rows[excluded], columns[excluded]] = torch.inf
    ordered = _sorted_rows(block)
    # Padding searches for an infinity, wherever that lies: it is masked out below.
    values = torch.where(matches, block.gather(1, columns), torch.inf)
    nearer = torch.searchsorted(ordered, values)
    tied = (torch.searchsorted(ordered, values, right=True) - nearer > 1) & matches
    if tied.any():
        nearer[tied] += _equal_before(block, rows[tied], columns[tied]).to(block.device)
    return torch.where(matches, nearer + 1, num_gallery + 1).sort(1).values


def _sorted_rows(block: torch.Tensor) -> torch.Tensor:
    if block.device.type == "cpu":
        # numpy's vectorised sort of bare values is several times faster than torch's, which always carries indices.
        return torch.from_numpy(np.sort(block.numpy(), axis=1))
    return block.sort(1).values


def _equal_before(block: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(C, G), (T,), (T,) -> (T,) int64: entries at exactly the distance of (row, column) that lie left of it.

    A loop, because ties are few, and where all is tied, as after a collapsed training, comparing a row still costs less
    than the stable sort that would make the loop unnecessary.
    """
    lines = block.cpu().numpy()
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return torch.tensor([np.count_nonzero(lines[row, :column] == lines[row, column]) for row, column in pairs])


def _query_figures(
    places: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(C, W) ascending places, (C,) matches -> average precision, INP and first place, NaN where there is no match."""
    nth = np.arange(1, places.shape[1] + 1)
    real = nth <= counts[:, None]
    divisor = np.where(counts > 0, counts, np.nan)
    ap = np.where(real, nth / places, 0.0).sum(1) / divisor
    last = np.take_along_axis(places, np.maximum(counts, 1)[:, None] - 1, axis=1)[:, 0]
    return ap, divisor / last, np.where(counts > 0, places[:, 0], np.nan)
