"""Metrics of a retrieval: cumulative matching (CMC), mean average precision (mAP), mINP and verification rates.

The place of a match is one more than the number of nearer gallery entries that the query may see. These are counted for
the few matches alone; the permutation that a full ranking needs is never made. Work goes on for a chunk of queries at a
time, so that Q x G distances need never be held.

Shapes: Q queries, G gallery entries, C queries of one chunk, F feature dimensions, W the most gallery entries that one
identity has. ``labels`` are four vectors of integers: the queries' identities (Q,) and the gallery's (G,), the queries'
cameras (Q,) and the gallery's (G,). The protocol ``same_camera`` is "exclude", which hides gallery entries of the
query's identity and camera (the protocol of Market-1501), or "keep", which ranks them like any other.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Array = NDArray[Any] | torch.Tensor
Labels = Array | Sequence[int]
SameCamera = Literal["exclude", "keep"]

CURVE_RANKS = 50
# A chunk holds about this many distances: few enough that its buffers are reused rather than mapped again, and
# enough that starting the threads of each torch call does not matter.
CHUNK_ENTRIES = 1 << 21
# On the CPU, up to so many entries of one identity are counted one by one, and for more the distances are sorted.
MOST_COUNTED = 32
# Distances that are compared at once: they and what is made of them stay in a core's cache.
COMPARED_ENTRIES = 1 << 18


@dataclass(frozen=True, eq=False)
class RankMetrics:
    """Metrics over the queries that have at least one match.

    Attributes:
        curve: (min(50, G),) float64, CMC: fraction, 0..1, of queries with a match among their k = 1, 2, ... nearest.
        mAP: mean of ``ap``, above 0, at most 1.
        mINP: mean of matches / place of the last one, above 0, at most 1 (Ye et al., TPAMI 2021, AGW).
        ap: (Q,) float64, average precision of each query; NaN where it has no match and counts in no mean.
    """

    curve: NDArray[np.float64]
    mAP: float
    mINP: float
    ap: NDArray[np.float64]

    def rank(self, k: int) -> float:
        """Rank-k, for k in 1..50."""
        return float(self.curve[min(k, len(self.curve)) - 1])


def rank_metrics(dist: Array, *labels: Labels, same_camera: SameCamera = "exclude") -> RankMetrics:
    """Metrics of (Q, G) float32 or float64 distances, numpy or torch on any device, and labels as the module says.

    The smaller distance is nearer; entries at equal distance are ranked in the order of their gallery index.

    Raises:
        ValueError: a distance is NaN or infinite, or no query has a match.
    """
    return _metrics(blocks_of_matrix(dist), labels, same_camera)


def rank_metrics_from_features(
    q_features: Array, g_features: Array, *labels: Labels, same_camera: SameCamera = "exclude"
) -> RankMetrics:
    """Metrics by the cosine distance of (Q, F) and (G, F) features of any norm, without ever holding Q x G distances.

    The device of the gallery's features does the work; errors are those of :func:`rank_metrics`.
    """
    return _metrics(blocks_of_features(q_features, g_features), labels, same_camera)


def cosine_distance(queries: Array, gallery: Array) -> torch.Tensor:
    """(Q, F), (G, F) of any norm -> (Q, G) float32: exactly the distances that a ranking from features uses."""
    return torch.cat([block for _, block in blocks_of_features(queries, gallery)])


def seen_pairs(*labels: Labels, same_camera: SameCamera = "exclude") -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which gallery entries each query may see, and which are of other people than the query: two (Q, G)."""
    q_pids, g_pids, q_camids, g_camids = map(np.asarray, labels)
    different = np.not_equal.outer(q_pids, g_pids)
    return different | np.not_equal.outer(q_camids, g_camids) | (same_camera == "keep"), different


def tpr_at_fpr(distances: NDArray[Any], different: NDArray[np.bool_], fprs: Sequence[float]) -> dict[float, float]:
    """The host's TPR@FPR, read off scikit-learn's curve at the point nearest to each wanted rate.

    As in the host, the positive class is a pair of different people: at a threshold, the true positive rate is the
    fraction of such pairs at least that far apart, the false positive rate that of pairs of one person. Takes (P,)
    distances of pairs and whether they are of two people; rates are 0..1.
    """
    # Imported here: only the few evaluations that ask for a ROC curve need scikit-learn.
    from sklearn.metrics import roc_curve

    if different.all() or not different.any():
        raise ValueError("a ROC curve needs pairs of one person and pairs of two, but there is only one kind")
    found_fpr, found_tpr, _ = roc_curve(different, distances)
    return {fpr: float(found_tpr[np.argmin(np.abs(found_fpr - fpr))]) for fpr in fprs}


def blocks_of_matrix(dist: Array) -> Iterator[tuple[int, torch.Tensor]]:
    """Consecutive rows of (Q, G) distances: the first query's index, and a (C, G) copy that the caller may write to.

    Raises:
        ValueError: a distance is NaN or infinite.
    """
    start = 0
    for part in torch.as_tensor(dist).detach().split(chunk_rows(dist.shape[1])):
        block = part.clone(memory_format=torch.contiguous_format)
        _check_finite(block, start)
        yield start, block
        start += len(block)


def blocks_of_features(q_features: Array, g_features: Array) -> Iterator[tuple[int, torch.Tensor]]:
    """Cosine distances, 1 - cos in 0..2 up to rounding, (C, G) float32 with the index of the first query.

    Raises:
        ValueError: a feature is NaN or infinite.
    """
    queries, gallery = as_float32(q_features), F.normalize(as_float32(g_features)).t()
    # Below some tens of rows a matrix product no longer keeps the cores busy.
    rows = max(128, chunk_rows(gallery.shape[1]))
    for start in range(0, len(queries), rows):
        part = F.normalize(queries[start : start + rows].to(gallery.device))
        # On the CPU by numpy's OpenBLAS, since torch's MKL takes up to twice as long on processors of other makers.
        on_cpu = gallery.device.type == "cpu"
        block = torch.from_numpy(part.numpy() @ gallery.numpy()) if on_cpu else part @ gallery
        block = block.neg_().add_(1)
        _check_finite(block, start)
        yield start, block


def chunk_rows(num_gallery: int) -> int:
    """How many queries make a chunk."""
    return max(1, CHUNK_ENTRIES // num_gallery)


def as_float32(features: Array) -> torch.Tensor:
    """The features as a float32 tensor without gradient; shares memory where it can."""
    return torch.as_tensor(features).detach().float()


def _check_finite(block: torch.Tensor, start: int) -> None:
    # A NaN shows in the extremes too, at a fraction of the cost of checking every entry.
    if not torch.stack(torch.aminmax(block)).isfinite().all():
        row, column = (~block.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"the distance of query {start + row} to gallery entry {column} is NaN or infinite")


def _metrics(
    blocks: Iterator[tuple[int, torch.Tensor]], labels: Sequence[Labels], same_camera: SameCamera
) -> RankMetrics:
    q_ids, g_ids, q_camids, g_camids = map(np.asarray, labels)
    order = np.argsort(g_ids, kind="stable")
    firsts, lasts = (np.searchsorted(g_ids, q_ids, side, order)[:, None] for side in ("left", "right"))
    ap, inp, first = (np.full(len(q_ids), np.nan) for _ in range(3))
    for start, block in blocks:
        part = slice(start, start + len(block))
        # The gallery entries of a query's identity, padded to the longest list by entries that are in neither mask.
        positions = firsts[part] + np.arange(max(1, int((lasts[part] - firsts[part]).max())))
        same, columns = positions < lasts[part], order[np.minimum(positions, len(order) - 1)]
        excluded = same & (g_camids[columns] == q_camids[part, None]) & (same_camera == "exclude")
        matches = same & ~excluded
        candidates = (torch.from_numpy(array).to(block.device) for array in (columns, matches, excluded))
        places = _match_places(block, *candidates).cpu().numpy()
        ap[part], inp[part], first[part] = _metrics_per_query(places, matches.sum(1))
    matched = ~np.isnan(first)
    if not matched.any():
        raise ValueError(f"none of {len(q_ids)} queries has a match in the gallery that the protocol lets it see")
    first = np.sort(first[matched])
    return RankMetrics(
        curve=np.searchsorted(first, np.arange(1, min(CURVE_RANKS, len(g_ids)) + 1), side="right") / len(first),
        mAP=float(ap[matched].mean()),
        mINP=float(inp[matched].mean()),
        ap=ap,
    )


def _match_places(
    block: torch.Tensor, columns: torch.Tensor, matches: torch.Tensor, excluded: torch.Tensor
) -> torch.Tensor:
    """(C, G) finite distances -> (C, W) int64: places, from 1, of each query's matches among what it sees.

    Ascending along W; padding comes last, as G + 1. Excluded entries of the block are overwritten with infinity.

    Args:
        block: the distances.
        columns: (C, W) int64, the gallery entries of each query's identity, and others as padding.
        matches: (C, W) bool, those that match the query.
        excluded: (C, W) bool, those that are hidden from the query.
    """
    rows = torch.arange(len(block), device=block.device)[:, None].expand_as(columns)
    block[rows[excluded], columns[excluded]] = torch.inf
    # Of what is no match, minus infinity, which is last here: no distance is nearer, or equal to it.
    values, order = torch.where(matches, block.gather(1, columns), -torch.inf).sort(1, descending=True)
    columns, matches = columns.gather(1, order), matches.gather(1, order)
    if block.device.type == "cpu" and columns.shape[1] <= MOST_COUNTED:
        nearer, equal = _counts(block.numpy(), values.numpy())
    else:
        ordered = block.sort(1).values
        nearer = torch.searchsorted(ordered, values)
        equal = torch.searchsorted(ordered, values, right=True) - nearer
    tied = equal > 1
    if tied.any():
        nearer[tied] += _equal_before(block, rows[tied], columns[tied]).to(block.device)
    return torch.where(matches, nearer + 1, block.shape[1] + 1).sort(1).values


def _counts(block: NDArray[Any], values: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, G), (C, W) -> for each value how many entries of its row are smaller, and how many equal: (C, W) int64.

    By W comparisons of every distance, on as many threads as torch has: vectorised, one costs a fraction of a cycle,
    and a sort of G entries far more than the few of an identity. Values of minus infinity, the last of a row, are not
    compared; rows of about as many others are worked on together.
    """
    counts = np.zeros((2, *values.shape), np.int64)
    lengths = np.isfinite(values).sum(1)

    def compare(rows: NDArray[np.int64]) -> None:
        some = block[rows]
        for place in range(lengths[rows[0]]):
            rows = rows[: np.count_nonzero(lengths[rows] > place)]
            value = values[rows, place, None]
            counts[0, rows, place] = _trues(some[: len(rows)] < value)
            equal = some[: len(rows)] == value
            # Mostly each equals itself alone, which is counted faster over all rows.
            counts[1, rows, place] = 1 if np.count_nonzero(equal) == len(rows) else _trues(equal)

    parts = np.array_split(np.argsort(-lengths), min(len(block), math.ceil(block.size / COMPARED_ENTRIES)))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(compare, parts))
    smaller, equal = map(torch.from_numpy, counts)
    return smaller, equal


def _trues(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(C, G) -> (C,): how many of a row are true."""
    counts: NDArray[np.int64] = np.bitwise_count(np.packbits(mask, axis=1)).sum(1, dtype=np.int64)
    return counts


def _equal_before(block: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(C, G), (T,), (T,) -> (T,) int64: entries at exactly the distance of (row, column) that lie left of it.

    A loop, because ties are few, and where all is tied, as after a collapsed training, comparing a row still costs less
    than the stable sort that would make the loop unnecessary.
    """
    lines = block.cpu().numpy()
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return torch.tensor([np.count_nonzero(lines[row, :column] == lines[row, column]) for row, column in pairs])


def _metrics_per_query(places: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """(C, W) ascending places, (C,) matches -> average precision, INP and first place, NaN where there is no match."""
    nth = np.arange(1, places.shape[1] + 1)
    real = nth <= counts[:, None]
    divisor = np.where(counts > 0, counts, np.nan)
    ap = np.where(real, nth / places, 0.0).sum(1) / divisor
    last = np.take_along_axis(places, np.maximum(counts, 1)[:, None] - 1, axis=1)[:, 0]
    return ap, divisor / last, np.where(counts > 0, places[:, 0], np.nan)
