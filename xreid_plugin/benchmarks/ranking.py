"""Ranking figures: the host's ``evaluate_rank`` without Cython beside ours, from distances and from features."""

from collections.abc import Callable, Sequence

import torch
from fastreid.evaluation.rank import evaluate_rank
from fastreid.utils.compute_dist import build_dist

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.benchmarks.retrieval import DEFAULT_SIZES, Retrieval, make_retrieval, parse_size
from xreid_plugin.evaluation.metrics import rank_metrics, rank_metrics_from_features

GROWTH_SIZES = ("46x51", "458x510", "4584x5099")


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """Two cases per size, "QxG".

    Raises:
        ValueError: a size cannot be read.
    """
    return [
        Case(
            name=f"ranking, from {given}",
            size=size,
            module=__name__,
            reference=f"host_from_{given}",
            plugin=f"plugin_from_{given}",
            arguments={"queries": queries, "gallery": gallery},
            scale=queries + gallery,
            # Distances (float32), their order and the matches (int64), and Python's floats of one query.
            reference_bytes=24 * queries * gallery,
        )
        for size in sizes
        for queries, gallery in [parse_size(size)]
        for given in ("distances", "features")
    ]


def host_from_distances(queries: int, gallery: int) -> Callable[[], object]:
    data = make_retrieval(queries, gallery)
    distances, labels = _distances(data), [values.numpy() for values in data[2:]]
    return lambda: evaluate_rank(distances.numpy(), *labels, use_cython=False)


def plugin_from_distances(queries: int, gallery: int) -> Callable[[], object]:
    data = make_retrieval(queries, gallery)
    distances = _distances(data)
    return lambda: rank_metrics(distances, *data[2:])


def host_from_features(queries: int, gallery: int) -> Callable[[], object]:
    data = make_retrieval(queries, gallery)
    labels = [values.numpy() for values in data[2:]]
    return lambda: evaluate_rank(build_dist(data.q_features, data.g_features, "cosine"), *labels, use_cython=False)


def plugin_from_features(queries: int, gallery: int) -> Callable[[], object]:
    data = make_retrieval(queries, gallery)
    return lambda: rank_metrics_from_features(*data)


def _distances(data: Retrieval) -> torch.Tensor:
    return (data.q_features @ data.g_features.t()).neg_().add_(1)
