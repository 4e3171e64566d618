"""Distances and ranking of the host's own evaluation."""

from typing import Any

import fastreid.utils.compute_dist
import numpy as np
import torch


@torch.no_grad()
def compute_euclidean_distance(features: torch.Tensor, others: torch.Tensor) -> np.ndarray:
    """Replaces the host's function, which calls an overload of ``addmm_`` that is deprecated.

    Args:
        features: (m, d) float.
        others: (n, d) float.

    Returns:
        (m, n) squared Euclidean distances, as in the host despite the name.
    """
    squares = features.pow(2).sum(1, keepdim=True) + others.pow(2).sum(1)
    return squares.addmm(features, others.t(), beta=1, alpha=-2).cpu().numpy()


_build_dist = fastreid.utils.compute_dist.build_dist


def build_dist(feat_1: torch.Tensor, feat_2: torch.Tensor, metric: str = "euclidean", **kwargs: Any) -> np.ndarray:
    """Replaces ``build_dist``, whose "jaccard" needs CUDA and a name that faiss has dropped (host issue 515).

    So TEST.RERANK works for the host's own models, on the CPU and with a GPU. The import waits for the first use: the
    host is fixed before any module that imports it is loaded, and most runs never re-rank.

    Args:
        feat_1: (m, d) float.
        feat_2: (n, d) float.
        metric: "cosine", "euclidean" or "jaccard".
        **kwargs: ``k1`` and ``k2``, for "jaccard".

    Returns:
        (m, n) distances.
    """
    if metric != "jaccard":
        distances: np.ndarray = _build_dist(feat_1, feat_2, metric, **kwargs)
        return distances
    from xreid_plugin.evaluation.rerank import jaccard_distance

    return jaccard_distance(torch.cat((feat_1, feat_2)), len(feat_1), kwargs["k1"], kwargs["k2"])


def no_compilation(*_: object) -> None:
    """Replaces ``ReidEvaluator._compile_dependencies``, which runs make in site-packages and exits if that fails.

    The host's evaluator then ranks in Python, with the same figures.
    """
