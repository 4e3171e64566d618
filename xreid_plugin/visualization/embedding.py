"""Where test tracklets lie relative to one another: a map of both modalities, and the gap between them as a number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional as F

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import as_float32

MOST_POINTS = 3000
_PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """A t-SNE of test tracklets.

    Attributes:
        points: (n, 2) float32, on the plane.
        pids: (n,) int64.
        modalities: (n,) int64, values of Modality.
        gap: the :func:`modality_gap` of all tracklets.
        total: number of tracklets in all; n are drawn.
    """

    points: NDArray[np.float32]
    pids: NDArray[np.int64]
    modalities: NDArray[np.int64]
    gap: float
    total: int


def modality_gap(units: NDArray[np.float32], modalities: NDArray[np.int64]) -> float:
    """How far the modalities lie apart, relative to how far each is spread.

    gap = ‖m_r − m_v‖ / ((s_r + s_v) / 2), where m is the mean of a modality's features, of unit length each, and s the
    mean Euclidean distance of those features to m. 0: the means coincide; at 1 they are as far apart as a feature is
    from its own modality's mean. [D]

    Args:
        units: (n, F), rows of unit length.
        modalities: (n,) values of Modality.

    Returns:
        At least 0; infinite if the features of each modality are all equal, but differ between the two.

    Raises:
        ValueError: a modality has no tracklet.
    """
    means, spreads = [], []
    for modality in Modality:
        ours = units[modalities == modality].astype(np.float64)
        if not len(ours):
            raise ValueError(f"There is no {modality.name.lower()} tracklet: a gap needs both modalities.")
        means.append(ours.mean(0))
        spreads.append(np.linalg.norm(ours - means[-1], axis=1).mean())
    distance, spread = float(np.linalg.norm(means[0] - means[1])), float(np.mean(spreads))
    # Features that are all the same differ from their mean by rounding.
    if spread < 1e-6:
        return float("inf") if distance > 1e-6 else 0.0
    return distance / spread


def embedding_map(data: TrackletFeatures, seed: int = 0, most: int = MOST_POINTS) -> EmbeddingMap:
    """scikit-learn's t-SNE by the cosine distance, from principal components; on one machine the same in every run.

    Args:
        data: features of the test set.
        seed: the seed of the map and, where there are more tracklets than ``most``, of the choice among them.
        most: greatest number of tracklets drawn.

    Raises:
        ValueError: fewer than four tracklets, a single dimension, or a modality without a tracklet.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    units = F.normalize(as_float32(data.features)).cpu().numpy()
    if len(units) < 4 or units.shape[1] < 2:
        raise ValueError(f"A map needs 4 tracklets of 2 dimensions at least, and there are {units.shape}.")
    gap = modality_gap(units, data.modalities)
    chosen = np.arange(len(units))
    if len(units) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(units), most, replace=False))
    # Features that are all alike have no principal components.
    start = "pca" if units.std(0).max() > 1e-6 else "random"
    perplexity = min(_PERPLEXITY, (len(chosen) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init=start, random_state=seed, n_jobs=1)
    # Several threads would sum in varying order, and gain nothing at this size.
    with threadpool_limits(1):
        points = tsne.fit_transform(units[chosen]).astype(np.float32)
    return EmbeddingMap(points, data.pids[chosen], data.modalities[chosen], gap, len(units))
