"""Ranking metrics against the host and a plain loop."""

import fastreid.evaluation.rank
import fastreid.evaluation.roc
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from xreid_plugin.evaluation import metrics
from xreid_plugin.evaluation.metrics import rank_metrics, rank_metrics_from_features, seen_pairs, tpr_at_fpr

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
PROTOCOLS = ("exclude", "keep")


def make_case(seed, queries=40, gallery=90, identities=9, cameras=4):
    """Distances without ties, and labels among which some queries have no match."""
    rng = np.random.default_rng(seed)
    dist = rng.permutation(queries * gallery).reshape(queries, gallery) / (queries * gallery)
    pids = rng.integers(identities, size=queries), rng.integers(1, identities + 1, size=gallery)
    camids = rng.integers(cameras, size=queries), rng.integers(cameras, size=gallery)
    return dist, *pids, *camids


def slow_metrics(dist, q_pids, g_pids, q_camids, g_camids, same_camera):
    """(AP, INP, place of the first match) of each query, NaN without a match: the definitions, entry by entry."""
    found = []
    for q in range(len(q_pids)):
        seen = []
        for g in range(len(g_pids)):
            hidden = same_camera == "exclude" and g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q]
            if not hidden:
                seen.append((dist[q][g], g))
        places = [place for place, (_, g) in enumerate(sorted(seen), start=1) if g_pids[g] == q_pids[q]]
        if places:
            precisions = [n / place for n, place in enumerate(places, start=1)]
            found.append((sum(precisions) / len(places), len(places) / places[-1], places[0]))
        else:
            found.append((np.nan, np.nan, np.nan))
    return np.array(found)


def assert_equals_slow(found, slow):
    np.testing.assert_allclose(found.ap, slow[:, 0], atol=1e-12)
    valid = slow[~np.isnan(slow[:, 0])]
    np.testing.assert_allclose((found.mAP, found.mINP), valid[:, :2].mean(0))
    np.testing.assert_allclose(found.curve, [(valid[:, 2] <= k).mean() for k in range(1, len(found.curve) + 1)])


def assert_same(one, other):
    for name in ("ap", "mINP", "curve"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)


def test_equals_the_host():
    # 90 entries, few of them hidden: the host fails where a query sees less than 50.
    case = make_case(0)
    curve, ap, inp = fastreid.evaluation.rank.evaluate_rank(*case, use_cython=False)
    found = rank_metrics(*case)
    assert found.mAP == pytest.approx(np.mean(ap), abs=1e-9)
    assert found.mINP == pytest.approx(np.mean(inp), abs=1e-9)
    np.testing.assert_array_equal(found.curve.astype(np.float32), curve)
    assert np.float32(found.rank(5)) == curve[4]
    assert np.isnan(found.ap).sum() == 40 - len(ap) > 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("same_camera", PROTOCOLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("identities", [9, 2])
def test_equals_a_plain_loop_with_ties(device, same_camera, dtype, identities):
    # Few entries of an identity are counted, many are sorted, as all are on a GPU.
    assert 90 / 9 < metrics.MOST_COUNTED < 90 / 2
    dist, *labels = make_case(5, identities=identities)
    # Few distinct values, exact in every type; entries at equal distance are ranked by their gallery index.
    dist = np.floor(dist * 7).astype(dtype)
    found = rank_metrics(torch.from_numpy(dist).to(device), *labels, same_camera=same_camera)
    assert_equals_slow(found, slow_metrics(dist, *labels, same_camera))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 30), st.integers(2, 6)),
    st.sampled_from(PROTOCOLS),
    st.randoms(use_true_random=False),
)
def test_the_order_of_queries_and_gallery_does_not_matter(sizes, same_camera, random):
    dist, q_pids, g_pids, q_camids, g_camids = case = make_case(*sizes)
    # One match for certain: an entry of its identity under a camera of its own.
    g_pids[0], g_camids[0] = q_pids[0], 99
    found = rank_metrics(*case, same_camera=same_camera)
    assert_equals_slow(found, slow_metrics(*case, same_camera))
    g = np.array(random.sample(range(len(g_pids)), len(g_pids)))
    assert_same(rank_metrics(dist[:, g], q_pids, g_pids[g], q_camids, g_camids[g], same_camera=same_camera), found)
    q = np.array(random.sample(range(len(q_pids)), len(q_pids)))
    by_query = rank_metrics(dist[q], q_pids[q], g_pids, q_camids[q], g_camids, same_camera=same_camera)
    np.testing.assert_array_equal(by_query.ap, found.ap[q])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_features_give_the_metrics_of_their_distances_in_chunks(device, kind, monkeypatch):
    rng = np.random.default_rng(0)
    _, *labels = make_case(1, queries=300)
    queries, gallery = (rng.standard_normal((n, 16)).astype(np.float32) for n in (300, 90))
    cosine = (queries @ gallery.T) / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(gallery, axis=1))
    expected = rank_metrics(1 - cosine, *labels)
    sides = [kind(part).to(device) if kind is torch.from_numpy else part for part in (queries, gallery)]
    assert_same(rank_metrics_from_features(*sides, *labels), expected)
    monkeypatch.setattr(metrics, "CHUNK_ENTRIES", 7 * 90)
    # Less than a row.
    monkeypatch.setattr(metrics, "COMPARED_ENTRIES", 80)
    assert_same(rank_metrics_from_features(*sides, *labels), expected)
    assert_same(rank_metrics(1 - cosine, *labels), expected)


def test_numbers_must_be_finite():
    dist, *labels = make_case(0)
    dist[33, 4] = np.nan
    with pytest.raises(ValueError, match="query 33 to gallery entry 4"):
        rank_metrics(dist, *labels)
    gallery = np.ones((90, 3))
    gallery[12, 1] = np.inf
    with pytest.raises(ValueError, match="gallery entry 12"):
        rank_metrics_from_features(np.ones((40, 3)), gallery, *labels)


# Of another identity, or under the query's camera.
@pytest.mark.parametrize(("pid", "camera"), [(3, 0), (1, 1)])
def test_no_match_at_all_is_an_error(pid, camera):
    with pytest.raises(ValueError, match="queries"):
        rank_metrics(np.zeros((1, 2)), [pid], [1, 2], [camera], [1, 1])


@pytest.mark.parametrize("levels", [10, 10**6])
def test_verification_equals_the_host(levels):
    dist, *labels = make_case(2)
    dist = np.floor(levels * (dist + 0.5 * (labels[0][:, None] != labels[1]))) / levels
    scores, different = fastreid.evaluation.roc.evaluate_roc(dist, *labels, use_cython=False)
    seen, others = seen_pairs(*labels)
    found = dist[seen], others[seen]
    assert sorted(zip(*found, strict=True)) == sorted(zip(scores, different, strict=True))
    fprs, tprs, _ = roc_curve(different, scores)
    wanted = (1e-4, 1e-3, 1e-2, 0.3)
    assert tpr_at_fpr(*found, wanted) == {fpr: pytest.approx(tprs[np.argmin(np.abs(fprs - fpr))]) for fpr in wanted}
