"""The nearest gallery tracklets of a few queries, and which of them are right."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import SameCamera, as_float32, cosine_distance, rank_metrics_from_features

Pick = Literal["spread", "best", "worst", "random"]
PICKS: tuple[str, ...] = get_args(Pick)


class Found(NamedTuple):
    """A gallery tracklet in a rank list.

    Attributes:
        tracklet: row of the features.
        right: whether it is of the query's identity.
        distance: cosine distance, 0..2.
    """

    tracklet: int
    right: bool
    distance: float


@dataclass(frozen=True)
class RankList:
    """One query and its results.

    Attributes:
        query: row of the features.
        found: the gallery tracklets, the nearest first, without what the same-camera rule hides.
        first_match: the best place of a right one in the whole ranking, from 1.
        average_precision: average precision of the whole ranking, 0..1.
    """

    query: int
    found: tuple[Found, ...]
    first_match: int
    average_precision: float


def rank_lists(
    data: TrackletFeatures,
    direction: str,
    count: int,
    depth: int,
    same_camera: SameCamera = "exclude",
    pick: Pick = "spread",
    seed: int = 0,
) -> list[RankList]:
    """Ranks by the cosine distance, without query expansion or re-ranking.

    Args:
        data: features of the test set.
        direction: one of ``data.tasks``.
        count: greatest number of queries; those without a match are left out.
        depth: greatest number of gallery tracklets in a list.
        same_camera: "exclude" hides gallery tracklets of the query's identity and camera.
        pick: which queries, by their average precision: "spread" from the best to the worst, "best", "worst", or
            "random".
        seed: the seed of the random choice.

    Returns:
        The lists, the best average precision first.

    Raises:
        ValueError: no query has a match, or features that are not finite.
    """
    task = data.tasks[direction]
    features = as_float32(data.features)
    asks, searched = list(task.query), list(task.gallery)
    queries, gallery = features[asks], features[searched]
    precision = rank_metrics_from_features(
        queries,
        gallery,
        data.pids[asks],
        data.pids[searched],
        data.camids[asks],
        data.camids[searched],
        same_camera=same_camera,
    ).ap
    chosen = _choose(precision, count, pick, seed)
    distances = cosine_distance(queries[torch.from_numpy(chosen)], gallery).cpu().numpy()
    return [
        RankList(task.query[place], *_nearest(data, task, task.query[place], row, depth, same_camera), precision[place])
        for place, row in zip(chosen.tolist(), distances, strict=True)
    ]


def _choose(precision: NDArray[np.float64], count: int, pick: Pick, seed: int) -> NDArray[np.int64]:
    """Places of queries, the best first."""
    order = np.argsort(-precision, kind="stable")
    order = order[~np.isnan(precision[order])]
    count = min(count, len(order))
    if pick == "best":
        return order[:count]
    if pick == "worst":
        return order[len(order) - count :]
    if pick == "random":
        return order[np.sort(np.random.default_rng(seed).choice(len(order), count, replace=False))]
    return order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]


def _nearest(
    data: TrackletFeatures,
    task: RetrievalTask,
    query: int,
    distances: NDArray[np.float32],
    depth: int,
    same_camera: SameCamera,
) -> tuple[tuple[Found, ...], int]:
    """The tracklets found, and the place of the first right one, which may lie below them."""
    gallery = np.array(task.gallery)
    same = data.pids[gallery] == data.pids[query]
    hidden = same & (data.camids[gallery] == data.camids[query]) & (same_camera == "exclude")
    order = np.argsort(distances, kind="stable")
    order = order[~hidden[order]]
    found = tuple(Found(int(gallery[i]), bool(same[i]), float(distances[i])) for i in order[:depth])
    return found, int(same[order].argmax()) + 1
