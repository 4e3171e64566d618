"""Metrics of a retrieval: cumulative matching (CMC), mean average precision (mAP), mINP and verification rates.

The place of a match is one more than the number of nearer gallery entries that the query may see. These are counted for
the few matches alone; the permutation that a full ranking needs is never made. Work goes on for a chunk of queries at a
time, so that Q x G distances need never be held.

Shapes: Q queries, G gallery entries, C queries of one chunk, F feature dimensions, W the most gallery entries that one
identity has. ``labels`` are four vectors of integers: the queries' identities (Q,) and the gallery's (G,), the queries'
cameras (Q,) and the gallery's (G,). The protocol ``same_camera`` is "exclude", which hides gallery entries of the
query's identity and camera (the rule of Market-1501), or "keep", which ranks them like any other.
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
        ValueError: shapes do not fit, a distance is NaN or infinite, or no query has a match.
    """
    matching = Matching(*labels, same_camera=same_camera)
    matching.require(*dist.shape)
    return _metrics(blocks_of_matrix(dist), matching)


def rank_metrics_from_features(
    q_features: Array, g_features: Array, *labels: Labels, same_camera: SameCamera = "exclude"
) -> RankMetrics:
    """Metrics by the cosine distance of (Q, F) and (G, F) features of any norm, without ever holding Q x G distances.

    The device of the gallery's features does the work; errors are those of :func:`rank_metrics`.
    """
    matching = Matching(*labels, same_camera=same_camera)
    matching.require(len(q_features), len(g_features))
    return _metrics(blocks_of_features(q_features, g_features), matching)


def cosine_distance(queries: Array, gallery: Array) -> torch.Tensor:
    """(Q, F), (G, F) of any norm -> (Q, G) float32: exactly the distances that a ranking from features uses."""
    return torch.cat([block for _, block in blocks_of_features(queries, gallery)])


def verification_pairs(
    dist: Array, *labels: Labels, same_camera: SameCamera = "exclude"
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """(Q, G) float -> (P,) distances of the pairs that are not hidden, and (P,) bool, whether these are two people."""
    q_pids, g_pids, q_camids, g_camids = map(np.asarray, labels)
    different = np.not_equal.outer(q_pids, g_pids)
    seen = different | np.not_equal.outer(q_camids, g_camids) | (same_camera == "keep")
    distances = dist.detach().cpu().numpy() if isinstance(dist, torch.Tensor) else dist
    return distances[seen], different[seen]


def tpr_at_fpr(distances: NDArray[Any], different: NDArray[np.bool_], fprs: Sequence[float]) -> dict[float, float]:
    """The host's TPR@FPR, read off scikit-learn's curve at the point nearest to each wanted rate.

    As in the host, the positive class is a pair of different people: at a threshold, the true positive rate is the
    fraction of such pairs at least that far apart, the false positive rate that of pairs of one person. Takes the (P,)
    of :func:`verification_pairs`; rates are 0..1.
    """
    # Imported here: only the few evaluations that ask for a ROC curve need scikit-learn.
    from sklearn.metrics import roc_curve

    if different.all() or not different.any():
        raise ValueError("a ROC curve needs pairs of one person and pairs of two, but there is only one kind")
    found_fpr, found_tpr, _ = roc_curve(different, distances)
    return {fpr: float(found_tpr[np.argmin(np.abs(found_fpr - fpr))]) for fpr in fprs}


class Matching:
    """The pairs of equal identity between queries and gallery, found from one sort of the gallery's identities."""

    def __init__(self, *labels: Labels, same_camera: SameCamera) -> None:
        if same_camera not in ("exclude", "keep"):
            raise ValueError(f'same_camera must be "exclude" or "keep", not {same_camera!r}')
        self.hides = same_camera == "exclude"
        q_ids, g_ids, self.q_camids, self.g_camids = map(np.asarray, labels)
        self.shape = len(q_ids), len(g_ids)
        self.require(len(self.q_camids), len(self.g_camids))
        self._order = np.argsort(g_ids, kind="stable")
        by_pid = g_ids[self._order]
        self._first = np.searchsorted(by_pid, q_ids, side="left")
        self._last = np.searchsorted(by_pid, q_ids, side="right")

    def require(self, *shape: int) -> None:
        """Raises ValueError unless this is the (Q, G) of the identities, neither of them 0."""
        if shape != self.shape or 0 in shape:
            raise ValueError(f"(queries, gallery entries) are {shape}, but there are {self.shape} identities")

    def candidates(self, start: int, stop: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """For queries start..stop-1 the gallery entries of their identity, padded to the longest list, W at least 1.

        Returns:
            columns: (C, W) int64, gallery indices; padding holds a valid index too.
            matches: (C, W) bool, entries that match the query.
            excluded: (C, W) bool, entries that are hidden from the query. Padding is in neither mask.
        """
        first, last = self._first[start:stop, None], self._last[start:stop, None]
        position = first + np.arange(max(1, int((last - first).max(initial=0))))
        same = position < last
        columns = self._order[np.minimum(position, len(self._order) - 1)]
        excluded = same & (self.g_camids[columns] == self.q_camids[start:stop, None]) & self.hides
        return tuple(torch.from_numpy(array).to(device) for array in (columns, same & ~excluded, excluded))


def blocks_of_matrix(dist: Array) -> Iterator[tuple[int, torch.Tensor]]:
    """Consecutive rows of (Q, G) distances: the first query's index, and a (C, G) copy that the caller may write to.

    Raises:
        ValueError: a distance is NaN or infinite.
    """
    if not isinstance(dist, torch.Tensor):
        dist = torch.from_numpy(np.require(dist, requirements=["C", "W"]))
    start = 0
    for part in dist.detach().split(chunk_rows(dist.shape[1])):
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
    if isinstance(features, torch.Tensor):
        return features.detach().float()
    # torch warns about arrays that it could but must not write to.
    features = np.require(features, np.float32, ["C"])
    return torch.from_numpy(features if features.flags.writeable else features.copy())


def _check_finite(block: torch.Tensor, start: int) -> None:
    # A NaN shows in the extremes too, at a fraction of the cost of checking every entry.
    if not torch.stack(torch.aminmax(block)).isfinite().all():
        row, column = (~block.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"the distance of query {start + row} to gallery entry {column} is NaN or infinite")


def _metrics(blocks: Iterator[tuple[int, torch.Tensor]], matching: Matching) -> RankMetrics:
    num_query, num_gallery = matching.shape
    ap, inp, first = (np.full(num_query, np.nan) for _ in range(3))
    for start, block in blocks:
        part = slice(start, start + len(block))
        columns, matches, excluded = matching.candidates(part.start, part.stop, block.device)
        places = _match_places(block, columns, matches, excluded).cpu().numpy()
        ap[part], inp[part], first[part] = _metrics_per_query(places, matches.sum(1).cpu().numpy())
    matched = ~np.isnan(first)
    if not matched.any():
        raise ValueError(f"none of {num_query} queries has a match in the gallery that the protocol lets it see")
    first = np.sort(first[matched])

    return RankMetrics(
        curve=np.searchsorted(first, np.arange(1, min(CURVE_RANKS, num_gallery) + 1), side="right") / len(first),
        mAP=float(ap[matched].mean()),
        mINP=float(inp[matched].mean()),
        ap=ap,
    )


def _match_places(
    block: torch.Tensor, columns: torch.Tensor, matches: torch.Tensor, excluded: torch.Tensor
) -> torch.Tensor:
    """(C, G) finite distances, candidates -> (C, W) int64: places, from 1, of each query's matches among what it sees.

    Ascending along W; padding comes last, as G + 1. Excluded entries of the block are overwritten with infinity.
    """
    rows = torch.arange(len(block), device=block.device)[:, None].expand_as(columns)
    block[rows[excluded], columns[excluded]] = torch.inf
    # Of what is no match, minus infinity, which is last here: no distance is nearer, or equal to it.
    values, order = torch.where(matches, block.gather(1, columns), -torch.inf).sort(1, descending=True)
    columns, matches = columns.gather(1, order), matches.gather(1, order)
    if block.device.type == "cpu" and columns.shape[1] <= MOST_COUNTED:
        nearer, equal = _counts(block.numpy(), values.numpy())
    else:
        nearer, equal = _counts_by_sorting(block, values)
    tied = equal > 1
    if tied.any():
        nearer[tied] += _equal_before(block, rows[tied], columns[tied]).to(block.device)
    return torch.where(matches, nearer + 1, block.shape[1] + 1).sort(1).values


def _counts_by_sorting(block: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, G), (C, W) -> for each value how many entries of its row are smaller, and how many equal: (C, W) int64."""
    # On the CPU numpy's vectorised sort of bare values is several times faster than torch's, which carries indices.
    on_cpu = block.device.type == "cpu"
    ordered = torch.from_numpy(np.sort(block.numpy(), axis=1)) if on_cpu else block.sort(1).values
    smaller = torch.searchsorted(ordered, values)
    return smaller, torch.searchsorted(ordered, values, right=True) - smaller


def _counts(block: NDArray[Any], values: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """What :func:`_counts_by_sorting` gives, by W comparisons of every distance, on as many threads as torch has.

    Vectorised, a comparison costs a fraction of a cycle, and a sort of G entries far more than W of them. Values of
    minus infinity, the last of a row, are not compared; rows of about as many others are worked on together.
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
