"""Verification figures: how well a distance threshold separates pairs of different people from pairs of the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.evaluation.distances import blocks_of_matrix
from xreid_plugin.evaluation.matching import Array, Matching, SameCamera


def verification_pairs(
    dist: Array,
    q_pids: Array,
    g_pids: Array,
    q_camids: Array,
    g_camids: Array,
    same_camera: SameCamera = "exclude",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Every pair that is not hidden from its query, as the host's ``evaluate_roc`` lists them, in another order.

    Args:
        dist: (Q, G) float, smaller is nearer; numpy, or torch on any device.
        q_pids: (Q,) integer; this and the rest as for :func:`xreid_plugin.evaluation.ranking.rank_metrics`.
        g_pids: (G,) integer.
        q_camids: (Q,) integer.
        g_camids: (G,) integer.
        same_camera: "exclude" leaves out pairs of one identity and one camera; "keep" counts them.

    Returns:
        (P,) float32 or float64 distances, and (P,) bool, whether the two are different people.

    Raises:
        ValueError: shapes do not fit, or a distance is NaN or infinite.
    """
    matching = Matching(q_pids, g_pids, q_camids, g_camids, same_camera)
    scores, labels = [], []
    for start, block in blocks_of_matrix(dist, matching.shape, None):
        columns, matches, excluded = matching.candidates(start, start + len(block))
        rows = torch.arange(len(block))[:, None].expand_as(columns)
        different = torch.ones(block.shape, dtype=torch.bool)
        seen = different.clone()
        different[rows[matches], columns[matches]] = False
        seen[rows[excluded], columns[excluded]] = False
        scores.append(block.cpu()[seen].numpy())
        labels.append(different[seen].numpy())
    return np.concatenate(scores), np.concatenate(labels)


def tpr_at_fpr(
    dist: Array,
    q_pids: Array,
    g_pids: Array,
    q_camids: Array,
    g_camids: Array,
    same_camera: SameCamera = "exclude",
    fprs: Sequence[float] = (1e-4, 1e-3, 1e-2),
) -> dict[float, float]:
    """The host's TPR@FPR, read off scikit-learn's curve at the point nearest to each wanted rate.

    As in the host, the score is the distance and the positive class a pair of different people: at a threshold, the
    true positive rate is the fraction of such pairs at least that far apart, the false positive rate that of pairs of
    one person.

    Args:
        dist: (Q, G) float; this and the rest as for :func:`verification_pairs`. All pairs are held at once.
        q_pids: (Q,) integer.
        g_pids: (G,) integer.
        q_camids: (Q,) integer.
        g_camids: (G,) integer.
        same_camera: "exclude" or "keep".
        fprs: wanted false positive rates, 0..1.

    Returns:
        Wanted rate -> true positive rate, 0..1.

    Raises:
        ValueError: as for :func:`verification_pairs`, or one of the two classes has no pair.
    """
    # Imported here: only the few evaluations that ask for a ROC curve need scikit-learn.
    from sklearn.metrics import roc_curve

    scores, labels = verification_pairs(dist, q_pids, g_pids, q_camids, g_camids, same_camera)
    if labels.all() or not labels.any():
        missing = "the same person" if labels.all() else "different people"
        raise ValueError(f"a ROC curve needs pairs of both kinds, but there is none of {missing}")
    found_fpr, found_tpr, _ = roc_curve(labels, scores)
    return {fpr: float(found_tpr[np.argmin(np.abs(found_fpr - fpr))]) for fpr in fprs}
