"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017), on sparse matrices from the first step to the last.

A feature's encoding has weights at a few of its neighbours only, so that sets of neighbours are kept as rows of sparse
matrices and set operations become products of them.

Shapes: N = Q + G features of D dimensions, the Q queries first.
"""

import warnings
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from xreid_plugin.evaluation.distances import as_float32
from xreid_plugin.evaluation.matching import Array
from xreid_plugin.evaluation.neighbours import neighbours

# How much is worked on at once: pairs of encoding weights, and entries of the result. Both stay in cache.
WEIGHT_PAIRS = 1 << 18
RESULT_ENTRIES = 1 << 19

Distance = TypeVar("Distance", NDArray[Any], torch.Tensor)


def jaccard_distance(
    features: Array, num_query: int, k1: int = 20, k2: int = 6, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Jaccard distance between the k-reciprocal encodings of queries and gallery.

    Equal to the host's ``compute_jaccard_distance``, of which it is the query x gallery part. As there, k1 counts the
    feature itself among its neighbours.

    Args:
        features: (N, D) float, queries first; used as they are: normalise them for a cosine ranking.
        num_query: Q, 1..N-1.
        k1: neighbours that make an encoding, at least 1; more than N counts as N.
        k2: neighbours over which encodings are averaged, at least 1; more than k1 counts as k1.
        device: where neighbours are searched for; the CPU does everything else.

    Returns:
        (Q, G) float32, 0..1.

    Raises:
        ValueError: a size is out of range, or a feature is NaN or infinite.
    """
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 and k2 must be at least 1, not {k1} and {k2}")
    data = as_float32(features).cpu()
    if not 0 < num_query < len(data):
        raise ValueError(f"num_query must leave a query and a gallery entry: it is {num_query} of {len(data)} features")
    ranking = neighbours(features, min(k1, len(data)), device)
    weights = _encodings(data, _expanded(ranking))
    if k2 > 1:
        nearest = _rows_of(ranking[:, :k2])
        weights = (nearest @ weights).multiply(np.float32(1 / min(k2, ranking.shape[1]))).tocsr()
    return _jaccard(weights[:num_query], weights[num_query:].tocsc())


def blend(original: Distance, jaccard: Distance, lambda_: float) -> Distance:
    """jaccard·(1 − λ) + original·λ, the distance by which a re-ranked retrieval is ranked.

    Args:
        original: (Q, G) float, the distance before re-ranking; numpy, or torch on any device.
        jaccard: (Q, G) float, of the same kind.
        lambda_: weight of the original, 0..1 (``TEST.RERANK.LAMBDA``).

    Raises:
        ValueError: shapes differ or the weight is out of range.
    """
    if original.shape != jaccard.shape:
        raise ValueError(f"the two distances have different shapes: {original.shape} and {jaccard.shape}")
    if not 0 <= lambda_ <= 1:
        raise ValueError(f"lambda must lie in 0..1, not {lambda_}")
    return jaccard * (1 - lambda_) + original * lambda_


def temporal_jaccard_distance(
    whole: Array,
    first_half: Array,
    second_half: Array,
    num_query: int,
    k1: int = 5,
    k2: int = 3,
    lambda1: float = 0.8,
    lambda2: float = 0.1,
    device: torch.device | str = "cpu",
) -> NDArray[np.float32]:
    """Re-ranking that also compares the halves of tracklets, crosswise.

    λ1·d + (1 − λ1)·J(whole) + λ2·(J(first queries, second gallery) + J(second queries, first gallery)), where d is the
    cosine distance of the whole tracklets (temporal re-ranking of BUPTCampus, Du et al., TIFS 2024).

    Args:
        whole: (N, D) float, features of whole tracklets, queries first; normalised here, and so are the halves.
        first_half: (N, D) float, features of each tracklet's first half.
        second_half: (N, D) float, features of its second half.
        num_query: Q, 1..N-1.
        k1: see :func:`jaccard_distance`.
        k2: likewise.
        lambda1: 0..1.
        lambda2: at least 0.
        device: see :func:`jaccard_distance`.

    Returns:
        (Q, G) float32, not negative up to rounding.

    Raises:
        ValueError: as for :func:`jaccard_distance`; or shapes differ, or a weight is out of range.
    """
    features = [as_float32(part).cpu() for part in (whole, first_half, second_half)]
    shapes = [tuple(part.shape) for part in features]
    if len(set(shapes)) > 1:
        raise ValueError(f"the features of whole tracklets and of their halves have different shapes: {shapes}")
    if lambda2 < 0:
        raise ValueError(f"lambda2 must be at least 0, not {lambda2}")
    whole, first, second = (torch.nn.functional.normalize(part) for part in features)
    cosine = (1 - whole[:num_query] @ whole[num_query:].t()).numpy()
    distance = blend(cosine, jaccard_distance(whole, num_query, k1, k2, device), lambda1)
    for queries, gallery in ((first, second), (second, first)):
        crossed = torch.cat([queries[:num_query], gallery[num_query:]])
        distance += lambda2 * jaccard_distance(crossed, num_query, k1, k2, device)
    return distance


def _rows_of(columns: NDArray[np.int64]) -> sparse.csr_array:
    """(N, k) neighbours -> (N, N) with ones there: each row is a set."""
    count, k = columns.shape
    indptr = np.arange(0, count * k + 1, k)
    # flatten copies: the indices are sorted in place.
    sets = sparse.csr_array((np.ones(count * k, np.float32), columns.flatten(), indptr), shape=(count, count))
    sets.sort_indices()
    return sets


def _reciprocal(ranking: NDArray[np.int64]) -> sparse.csr_array:
    """(N, k) -> (N, N): each row holds the neighbours that have the row among theirs."""
    forward = _rows_of(ranking)
    return forward.multiply(forward.T.tocsr()).tocsr()


def _expanded(ranking: NDArray[np.int64]) -> sparse.csr_array:
    """Reciprocal sets R*(i): R(i), with the half-set of every member of which over 2/3 lie in R(i) (paper: equation 5).

    The half-sets have round(k1 / 2) + 1 columns, rounded half to even as in the host.
    """
    full = _reciprocal(ranking)
    half = _reciprocal(ranking[:, : round(ranking.shape[1] / 2) + 1])
    overlap = full.multiply(full @ half.T.tocsr()).tocoo()
    sizes = np.diff(half.indptr)
    joined = overlap.data > 2 / 3 * sizes[overlap.col]
    members = sparse.csr_array(
        (np.ones(joined.sum(), np.float32), (overlap.row[joined], overlap.col[joined])), shape=full.shape
    )
    return (full + members @ half).tocsr()


def _encodings(data: torch.Tensor, sets: sparse.csr_array) -> sparse.csr_array:
    """(N, D) and sets of neighbours -> (N, N) float32: softmax of minus the squared distances to a row's neighbours."""
    sizes = np.diff(sets.indptr)
    distances = _distances_within(data, sets)
    # A feature with many duplicates need not be among its own neighbours: a row may be empty, or far from 0.
    filled, starts = sizes > 0, sets.indptr[:-1]
    nearest, total = np.zeros(len(sizes), np.float32), np.ones(len(sizes), np.float32)
    nearest[filled] = np.minimum.reduceat(distances, starts[filled])
    weights = np.exp(np.repeat(nearest, sizes) - distances)
    total[filled] = np.add.reduceat(weights, starts[filled])
    weights /= np.repeat(total, sizes)
    encodings = sparse.csr_array((weights, sets.indices, sets.indptr), shape=sets.shape)
    # Weights that underflow add nothing to any sum of minima.
    encodings.eliminate_zeros()
    return encodings


def _distances_within(data: torch.Tensor, sets: sparse.csr_array) -> NDArray[np.float32]:
    """(N, D) and sets of neighbours -> squared distances of a row's feature to its neighbours, less a number a row."""
    with warnings.catch_warnings():
        # "Sparse CSR tensor support is in beta state": the one product used here is compared with the host's in tests.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
        chosen = torch.sparse_csr_tensor(
            torch.from_numpy(sets.indptr).long(),
            torch.from_numpy(sets.indices).long(),
            torch.zeros(sets.nnz),
            size=sets.shape,
            check_invariants=False,
        )
    # The row's own square is left out: it shifts all its distances, which a softmax ignores.
    products = torch.sparse.sampled_addmm(chosen, data, data.t(), beta=0, alpha=-2).values()
    distances: NDArray[np.float32] = (products + data.square().sum(1)[chosen.col_indices()]).numpy()
    return distances


def _jaccard(queries: sparse.csr_array, gallery: sparse.csc_array) -> NDArray[np.float32]:
    """(Q, N) and (G, N) encodings, rows of which sum to 1 -> (Q, G): 1 − s / (2 − s), s the sum of minima."""
    num_gallery = gallery.shape[0]
    distance = np.zeros((queries.shape[0], num_gallery), np.float32)
    lengths = np.diff(gallery.indptr)[queries.indices]
    pairs_before = np.concatenate([[0], np.cumsum(lengths)])[queries.indptr]
    start = 0
    while start < len(distance):
        stop = int(np.searchsorted(pairs_before, pairs_before[start] + WEIGHT_PAIRS, side="right")) - 1
        stop = max(min(stop, start + RESULT_ENTRIES // num_gallery), start + 1)
        part = slice(queries.indptr[start], queries.indptr[stop])
        length = lengths[part]
        begins = gallery.indptr[queries.indices[part]] - (np.cumsum(length) - length)
        entries = np.repeat(begins, length) + np.arange(length.sum())
        minima = np.minimum(np.repeat(queries.data[part], length), gallery.data[entries])
        in_row = np.repeat(np.arange(stop - start), np.diff(pairs_before[start : stop + 1]))
        shared = distance[start:stop]
        np.add.at(shared.reshape(-1), in_row * num_gallery + gallery.indices[entries], minima)
        np.divide(shared, 2 - shared, out=shared)
        np.subtract(1, shared, out=shared)
        np.maximum(shared, 0, out=shared)
        start = stop
    return distance
