"""Ranking and re-ranking: the host's functions on the CPU beside the plugin's, on features around random identities."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from fastreid.evaluation.rank import evaluate_rank
from fastreid.utils.compute_dist import build_dist, compute_jaccard_distance
from torch.nn import functional as F

from benchmarks.measure import Work
from benchmarks.report import Case, read_size
from xreid_plugin.evaluation.metrics import rank_metrics, rank_metrics_from_features
from xreid_plugin.evaluation.rerank import jaccard_distance

# Queries and gallery of BUPTCampus, I2V, and of HITSZ-VCM.
SIZES = ("536x2422", "4584x5099")
# The host's option for FAISS on the CPU.
CPU_SEARCH = 3


def ranking_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Two cases per size, "QxG": metrics from distances and from features; the host's without Cython."""
    # Distances (float32), their order and the matches (int64), and Python's floats of one query.
    both = {"ranking, from distances": rank_distances, "ranking, from features": rank_features}
    return [case for name, work in both.items() for case in _cases(name, work, sizes, lambda q, g: 24 * q * g)]


def rerank_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size, "QxG", at k1 = 20 and k2 = 6."""
    # Encodings before and after their averaging, and the distance, each N x N float32.
    return _cases("re-ranking", rerank, sizes, lambda q, g: 12 * (q + g) ** 2)


def _cases(name: str, work: Any, sizes: Sequence[str] | None, host_bytes: Callable[[int, int], int]) -> list[Case]:
    found = []
    for size in sizes or SIZES:
        numbers = read_size(size, "queries x gallery, such as 4584x5099")
        needs = host_bytes(*numbers)
        found.append(Case(name, size, work, numbers, "host", scale=sum(numbers), reference_bytes=needs))
    return found


def rank_distances(queries: int, gallery: int, plainly: bool = False) -> Work:
    """Metrics from distances, (Q, G)."""
    q_features, g_features, *labels = make_retrieval(queries, gallery)
    distances = (q_features @ g_features.t()).neg_().add_(1)
    if not plainly:
        return Work(lambda: rank_metrics(distances, *labels))
    arrays = [values.numpy() for values in labels]
    return Work(lambda: evaluate_rank(distances.numpy(), *arrays, use_cython=False))


def rank_features(queries: int, gallery: int, plainly: bool = False) -> Work:
    """Metrics from features, by their cosines."""
    q_features, g_features, *labels = make_retrieval(queries, gallery)
    if not plainly:
        return Work(lambda: rank_metrics_from_features(q_features, g_features, *labels))
    arrays = [values.numpy() for values in labels]
    return Work(lambda: evaluate_rank(build_dist(q_features, g_features, "cosine"), *arrays, use_cython=False))


def rerank(queries: int, gallery: int, plainly: bool = False) -> Work:
    """Jaccard distances, (Q, G); the host computes those of all pairs and cuts them."""
    features = torch.cat(make_retrieval(queries, gallery)[:2])
    if not plainly:
        return Work(lambda: jaccard_distance(features, queries))
    return Work(lambda: compute_jaccard_distance(features, search_option=CPU_SEARCH)[:queries, queries:])


def make_retrieval(queries: int, gallery: int, dimensions: int = 512) -> list[Any]:
    """Unit features (n, F), identities and cameras (n,) of queries and gallery, tensors, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    count = queries + gallery
    # As many tracklets of each as in the test set of HITSZ-VCM.
    identities = max(1, round(count * 427 / 9683))
    pids = torch.randint(identities, (count,), generator=generator)
    camids = torch.randint(12, (count,), generator=generator)
    # Noise somewhat longer than the identity's own vector: distances within and between identities overlap.
    features = torch.randn(identities, dimensions, generator=generator)[pids]
    features = F.normalize(features + 1.2 * torch.randn(count, dimensions, generator=generator))
    return [part for values in (features, pids, camids) for part in values.split([queries, gallery])]
