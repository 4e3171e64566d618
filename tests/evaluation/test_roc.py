"""Verification figures against the host's pairs and scikit-learn's curve over them, as the host reads it."""

import fastreid.evaluation.roc
import numpy as np
import pytest
import torch
from sklearn import metrics

from xreid_plugin.evaluation.roc import tpr_at_fpr, verification_pairs


def make_case(seed, levels):
    rng = np.random.default_rng(seed)
    q_pids, g_pids = rng.integers(6, size=30), rng.integers(6, size=50)
    dist = rng.random((30, 50)) + 0.5 * (q_pids[:, None] != g_pids)
    dist = (np.floor(dist * levels) / levels).astype(np.float32)
    return dist, q_pids, g_pids, rng.integers(3, size=30), rng.integers(3, size=50)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [10, 10**6])
def test_equals_the_host(seed, levels):
    case = make_case(seed, levels)
    scores, labels = fastreid.evaluation.roc.evaluate_roc(*case, use_cython=False)
    found_scores, found_labels = verification_pairs(*case)
    assert sorted(zip(found_scores, found_labels, strict=True)) == sorted(zip(scores, labels, strict=True))
    fprs, tprs, _ = metrics.roc_curve(labels, scores)
    wanted = (1e-4, 1e-3, 1e-2, 0.3)
    expected = {fpr: tprs[np.argmin(np.abs(fprs - fpr))] for fpr in wanted}
    assert tpr_at_fpr(*case, fprs=wanted) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected[0.3] <= 1


def test_kept_cameras_by_hand():
    # Pairs of one person at 0.1 and 0.4, of two at 0.3 and 0.9. As the threshold falls, the curve runs from (0, 0), its
    # first point at a rate of 0, through (0, 1/2) at 0.9, (1/2, 1/2) at 0.4 and (1/2, 1) at 0.3 to (1, 1).
    dist = torch.tensor([[0.1, 0.4, 0.3, 0.9]])
    labels = [1], [1, 1, 2, 3], [0], [0, 1, 1, 1]
    assert tpr_at_fpr(dist, *labels, "keep", fprs=(0.0, 0.5, 1.0)) == {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}
    # Without the first entry no threshold lies between 0 and 1.
    scores, different = verification_pairs(dist, *labels)
    assert scores.tolist() == pytest.approx([0.4, 0.3, 0.9])
    assert different.tolist() == [False, True, True]


@pytest.mark.parametrize(("g_pids", "missing"), [([1, 1], "different people"), ([2, 3], "the same person")])
def test_both_kinds_of_pairs_are_needed(g_pids, missing):
    with pytest.raises(ValueError, match=missing):
        tpr_at_fpr(np.array([[0.1, 0.2]]), [1], g_pids, [0], [1, 1])
