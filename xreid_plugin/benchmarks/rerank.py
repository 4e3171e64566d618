"""Re-ranking: the host's ``compute_jaccard_distance`` on the CPU beside the plugin's."""

from collections.abc import Callable, Sequence

import torch
from fastreid.utils.compute_dist import compute_jaccard_distance

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.benchmarks.retrieval import DEFAULT_SIZES, make_retrieval, parse_size
from xreid_plugin.evaluation.rerank import jaccard_distance

CPU_SEARCH = 3
GROWTH_SIZES = ("46x51", "458x510", "4584x5099")


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """One case per size, "QxG", at the paper's k1 = 20 and k2 = 6.

    Raises:
        ValueError: a size cannot be read.
    """
    return [
        Case(
            name="re-ranking",
            size=size,
            module=__name__,
            reference="host",
            plugin="plugin",
            arguments={"queries": queries, "gallery": gallery},
            scale=queries + gallery,
            # Encodings before and after their averaging, and the distance, each N x N float32.
            reference_bytes=12 * (queries + gallery) ** 2,
        )
        for size in sizes
        for queries, gallery in [parse_size(size)]
    ]


def host(queries: int, gallery: int) -> Callable[[], object]:
    features = _features(queries, gallery)
    return lambda: compute_jaccard_distance(features, search_option=CPU_SEARCH)[:queries, queries:]


def plugin(queries: int, gallery: int) -> Callable[[], object]:
    features = _features(queries, gallery)
    return lambda: jaccard_distance(features, queries)


def _features(queries: int, gallery: int) -> torch.Tensor:
    data = make_retrieval(queries, gallery)
    return torch.cat([data.q_features, data.g_features])
