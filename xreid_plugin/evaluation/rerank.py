"""Re-ranking: k-reciprocal encoding (Zhong et al., CVPR 2017), its temporal form, and query expansion.

An encoding has weights at a few of a feature's neighbours only, so that sets of neighbours are kept as rows of sparse
matrices and set operations become products of them, from the first step to the last.

Shapes: N = Q + G features of F dimensions, the Q queries first; k neighbours of each.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch.nn import functional as F

from xreid_plugin.evaluation.metrics import Array, as_float32
from xreid_plugin.faiss_library import import_faiss

# Number of distances that the torch search holds at once.
BLOCK_ENTRIES = 1 << 24
# How much is worked on at once: pairs of encoding weights, and entries of the result. Both stay in cache.
WEIGHT_PAIRS = 1 << 18
RESULT_ENTRIES = 1 << 19


@dataclass(frozen=True)
class Expansion:
    """Query expansion, which replaces every feature by a weighted mean of its neighbours.

    Attributes:
        times: how often (TEST.AQE.QE_TIME).
        k: number of neighbours that are averaged, the feature itself among them (TEST.AQE.QE_K).
        alpha: power of the cosine that weighs them, at least 0 (TEST.AQE.ALPHA).
    """

    times: int = 1
    k: int = 5
    alpha: float = 3.0


@dataclass(frozen=True)
class KReciprocal:
    """Re-ranking with k-reciprocal encoding, by jaccard·(1 − λ) + cosine distance·λ (Zhong et al., CVPR 2017).

    Attributes:
        k1: neighbours that make an encoding (TEST.RERANK.K1).
        k2: neighbours over which encodings are averaged (TEST.RERANK.K2).
        weight: λ, 0..1 (TEST.RERANK.LAMBDA).
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3


@dataclass(frozen=True)
class Temporal:
    """Re-ranking that compares the halves of tracklets as well. [D]

    Attributes:
        k1: neighbours that make an encoding (TEST.RERANK.TEMPORAL.K1).
        k2: neighbours over which encodings are averaged (TEST.RERANK.TEMPORAL.K2).
        lambda1: weight of the distance before re-ranking, 0..1 (TEST.RERANK.TEMPORAL.LAMBDA1).
        lambda2: weight of each of the two comparisons of halves, at least 0 (TEST.RERANK.TEMPORAL.LAMBDA2).
    """

    k1: int = 5
    k2: int = 3
    lambda1: float = 0.8
    lambda2: float = 0.1


def jaccard_distance(
    features: Array, num_query: int, k1: int = 20, k2: int = 6, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Jaccard distance between the k-reciprocal encodings of queries and gallery.

    Equal to the query x gallery part of the host's ``compute_jaccard_distance``. As there, k1 counts the feature itself
    among its neighbours.

    Args:
        features: (N, F) float, finite, queries first; used as they are: normalise them for a cosine ranking.
        num_query: Q, 1..N-1.
        k1: neighbours that make an encoding, at least 1; more than N counts as N.
        k2: neighbours over which encodings are averaged, at least 1; more than k1 counts as k1.
        device: where neighbours are searched for; the CPU does everything else.

    Returns:
        (Q, G) float32, 0..1.
    """
    data = as_float32(features).cpu()
    ranking = neighbours(data, min(k1, len(data)), device)
    weights = _encodings(data, _expanded_sets(ranking))
    if k2 > 1:
        nearest = _rows_of(ranking[:, :k2])
        weights = (nearest @ weights).multiply(np.float32(1 / min(k2, ranking.shape[1]))).tocsr()
    return _jaccard(weights[:num_query], weights[num_query:].tocsc())


def temporal_jaccard_distance(
    whole: Array, first_half: Array, second_half: Array, num_query: int, method: Temporal, device: torch.device | str
) -> NDArray[np.float32]:
    """(Q, G) float32, at least 0 up to rounding, of a re-ranking that also compares the halves of tracklets, crosswise.

    λ1·d + (1 − λ1)·J(whole) + λ2·(J(first queries, second gallery) + J(second queries, first gallery)), where d is the
    cosine distance of the whole tracklets. After an idea of BUPTCampus's authors (Du et al., TIFS 2024), whose weights
    and counts of neighbours are others. [D]

    Args:
        whole: (N, F) float, features of whole tracklets, queries first; normalised here, and so are the halves.
        first_half: (N, F) float, features of each tracklet's first half.
        second_half: (N, F) float, features of its second half.
        num_query: Q, 1..N-1.
        method: k1, k2, λ1 and λ2.
        device: where neighbours are searched for.
    """
    whole, first, second = (F.normalize(as_float32(part).cpu()) for part in (whole, first_half, second_half))
    cosine: NDArray[np.float32] = (1 - whole[:num_query] @ whole[num_query:].t()).numpy()
    jaccard = jaccard_distance(whole, num_query, method.k1, method.k2, device)
    distance = jaccard * (1 - method.lambda1) + cosine * method.lambda1
    for queries, gallery in ((first, second), (second, first)):
        crossed = torch.cat([queries[:num_query], gallery[num_query:]])
        distance += method.lambda2 * jaccard_distance(crossed, num_query, method.k1, method.k2, device)
    return distance


def query_expansion(features: torch.Tensor, method: Expansion) -> torch.Tensor:
    """The host's ``aqe`` of (N, F) float32 features of any norm, queries and gallery, N at least k.

    Every feature becomes the mean of its k nearest, weighted by the power of their cosines. A power that is not a whole
    number is undefined for a negative cosine, for which the host gives NaN: a neighbour that far away does not count
    here. [D]
    """
    for _ in range(method.times):
        units = F.normalize(features)
        cosines, nearest = (units @ units.t()).topk(method.k)
        weights = (cosines if float(method.alpha).is_integer() else cosines.clamp(min=0)).pow(method.alpha)
        features = F.embedding_bag(nearest, features, per_sample_weights=weights, mode="sum") / method.k
    return features


def neighbours(features: Array, k: int, device: torch.device | str = "cpu") -> NDArray[np.int64]:
    """(N, F) -> (N, k) int64: the k in 1..N nearest of all features, itself among them, by Euclidean distance.

    Exact. FAISS searches on the CPU, torch on a GPU; no GPU but the one asked for is used.
    """
    data = as_float32(features).contiguous().to(device)
    if data.device.type != "cpu":
        return torch_neighbours(data, k)
    index = import_faiss().IndexFlatL2(data.shape[1])
    index.add(data.numpy())
    found: NDArray[np.int64] = index.search(data.numpy(), k)[1]
    return found


def torch_neighbours(data: torch.Tensor, k: int) -> NDArray[np.int64]:
    """(N, F) float32 -> (N, k): matrix products and top-k where the data lie, in blocks of queries."""
    squares = data.square().sum(1)
    # The query's own square shifts a whole row, which does not change the order.
    blocks = (torch.addmm(squares, part, data.t(), alpha=-2) for part in data.split(max(1, BLOCK_ENTRIES // len(data))))
    return torch.cat([block.topk(k, largest=False).indices for block in blocks]).cpu().numpy()


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


def _expanded_sets(ranking: NDArray[np.int64]) -> sparse.csr_array:
    """Reciprocal sets R*(i): R(i), with the half-set of every member of which over 2/3 lie in R(i) (paper: equation 5).

    The half-sets have round(k1 / 2) + 1 columns, rounded half to even as in the host.
    """
    full = _reciprocal(ranking)
    half = _reciprocal(ranking[:, : round(ranking.shape[1] / 2) + 1])
    overlap = full.multiply(full @ half.T.tocsr()).tocoo()
    joined = overlap.data > 2 / 3 * np.diff(half.indptr)[overlap.col]
    members = sparse.csr_array(
        (np.ones(joined.sum(), np.float32), (overlap.row[joined], overlap.col[joined])), shape=full.shape
    )
    return (full + members @ half).tocsr()


def _encodings(data: torch.Tensor, sets: sparse.csr_array) -> sparse.csr_array:
    """(N, F) and sets of neighbours -> (N, N) float32: softmax of minus the squared distances to a row's neighbours."""
    with warnings.catch_warnings():
        # "Sparse CSR tensor support is in beta state": the one product used here is compared with the host's in tests.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
        rows, columns = (torch.from_numpy(part).long() for part in (sets.indptr, sets.indices))
        chosen = torch.sparse_csr_tensor(rows, columns, torch.zeros(sets.nnz), size=sets.shape, check_invariants=False)
    # The row's own square is left out: it shifts all its distances, which a softmax ignores.
    products = torch.sparse.sampled_addmm(chosen, data, data.t(), beta=0, alpha=-2).values()
    distances = (products + data.square().sum(1)[columns]).numpy()
    # A feature with many duplicates need not be among its own neighbours: a row may be empty, or far from 0.
    sizes = np.diff(sets.indptr)
    filled, starts = sizes > 0, sets.indptr[:-1]
    nearest, total = np.zeros(len(sizes), np.float32), np.ones(len(sizes), np.float32)
    nearest[filled] = np.minimum.reduceat(distances, starts[filled])
    weights = np.exp(np.repeat(nearest, sizes) - distances)
    total[filled] = np.add.reduceat(weights, starts[filled])
    encodings = sparse.csr_array((weights / np.repeat(total, sizes), sets.indices, sets.indptr), shape=sets.shape)
    # Weights that underflow add nothing to any sum of minima.
    encodings.eliminate_zeros()
    return encodings


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
        np.maximum(1 - shared / (2 - shared), 0, out=shared)
        start = stop
    return distance
