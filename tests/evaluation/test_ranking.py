"""Ranking figures against the host, a plain loop, and values derived by hand."""

import fastreid.evaluation.rank
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xreid_plugin.evaluation.ranking import rank_metrics, rank_metrics_from_features

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
RULES = ("exclude", "keep")


def make_case(seed, queries=40, gallery=90, identities=9, cameras=4):
    """Distances without ties, and labels among which some queries have no match."""
    rng = np.random.default_rng(seed)
    dist = rng.permutation(queries * gallery).reshape(queries, gallery) / (queries * gallery)
    pids = rng.integers(identities, size=queries), rng.integers(1, identities + 1, size=gallery)
    camids = rng.integers(cameras, size=queries), rng.integers(cameras, size=gallery)
    return dist, *pids, *camids


def slow_figures(dist, q_pids, g_pids, q_camids, g_camids, same_camera):
    """(AP, INP, place of the first match) of each query, None without a match: the definitions, entry by entry."""
    figures = []
    for q in range(len(q_pids)):
        seen = []
        for g in range(len(g_pids)):
            hidden = same_camera == "exclude" and g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q]
            if not hidden:
                seen.append((dist[q][g], g))
        places = [place for place, (_, g) in enumerate(sorted(seen), start=1) if g_pids[g] == q_pids[q]]
        if places:
            precisions = [n / place for n, place in enumerate(places, start=1)]
            figures.append((sum(precisions) / len(places), len(places) / places[-1], places[0]))
        else:
            figures.append(None)
    return figures


def assert_equals_slow(found, slow, ranks):
    valid = [figures for figures in slow if figures is not None]
    nothing = (np.nan, np.nan)
    expected = np.array([nothing if figures is None else figures[:2] for figures in slow])
    np.testing.assert_allclose(np.stack([found.ap, found.inp], 1), expected, atol=1e-12)
    assert found.mAP == pytest.approx(np.mean([ap for ap, _, _ in valid]))
    assert found.mINP == pytest.approx(np.mean([inp for _, inp, _ in valid]))
    for rank in ranks:
        assert found.cmc[rank] == pytest.approx(np.mean([first <= rank for _, _, first in valid]))
    assert found.num_query == len(slow)
    assert found.num_unmatched == len(slow) - len(valid)


def same_figures(one, other):
    np.testing.assert_allclose(one.ap, other.ap, atol=1e-12)
    np.testing.assert_allclose(one.inp, other.inp, atol=1e-12)
    np.testing.assert_allclose(one.curve, other.curve, atol=1e-12)
    assert one.cmc == pytest.approx(other.cmc)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_host(seed):
    # 90 entries, few of them hidden: the host fails where a query sees less than 50.
    case = make_case(seed)
    curve, ap, inp = fastreid.evaluation.rank.evaluate_rank(*case, use_cython=False)
    found = rank_metrics(*case)
    assert found.mAP == pytest.approx(np.mean(ap), abs=1e-9)
    assert found.mINP == pytest.approx(np.mean(inp), abs=1e-9)
    np.testing.assert_array_equal(found.curve.astype(np.float32), curve)
    np.testing.assert_array_equal(np.float32(list(found.cmc.values())), curve[[0, 4, 9, 19]])
    assert found.num_query - found.num_unmatched == len(ap)
    assert found.num_unmatched > 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("same_camera", RULES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_equals_a_plain_loop_with_ties(device, same_camera, dtype):
    dist, *labels = make_case(5)
    # Few distinct values, exact in every type.
    dist = np.floor(dist * 7).astype(dtype)
    found = rank_metrics(torch.from_numpy(dist).to(device), *labels, same_camera, ranks=(1, 3, 70))
    assert_equals_slow(found, slow_figures(dist, *labels, same_camera), (1, 3, 70))


def test_ties_are_ranked_by_gallery_index():
    # All distances equal: the match at gallery index 2 is third.
    found = rank_metrics(np.zeros((1, 4)), [7], [1, 2, 7, 3], [0], [1, 1, 1, 1], ranks=(2, 3))
    assert found.cmc == {2: 0.0, 3: 1.0}
    assert found.mAP == pytest.approx(1 / 3)


def test_small_case_by_hand():
    # Ranked: index 1 (pid 5, other camera), 3 (pid 6), 0 (pid 5, same camera), 2 (pid 5, other camera).
    dist = [[0.6, 0.1, 0.9, 0.4]]
    labels = [5], [5, 5, 5, 6], [0], [0, 1, 2, 1]
    excluded = rank_metrics(np.array(dist), *labels)
    # Without index 0 the matches come first and third.
    assert excluded.mAP == pytest.approx((1 + 2 / 3) / 2)
    assert excluded.mINP == pytest.approx(2 / 3)
    kept = rank_metrics(np.array(dist), *labels, "keep")
    assert kept.mAP == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert kept.mINP == pytest.approx(3 / 4)


@pytest.mark.parametrize(("matches", "others"), [(1, 9), (3, 7), (4, 60)])
def test_perfect_and_worst_ranking(matches, others):
    labels = [0], [0] * matches + [1] * others, [0], [1] * (matches + others)
    perfect = rank_metrics(np.arange(matches + others, dtype=np.float32)[None], *labels)
    assert (perfect.mAP, perfect.mINP, perfect.cmc[1]) == (1, 1, 1)
    assert perfect.curve.tolist() == [1] * min(50, matches + others)
    worst = rank_metrics(-np.arange(matches + others, dtype=np.float32)[None], *labels)
    # The n-th match is at place others + n.
    assert worst.mAP == pytest.approx(sum(n / (others + n) for n in range(1, matches + 1)) / matches)
    assert worst.mINP == pytest.approx(matches / (others + matches))
    assert worst.curve.tolist() == [float(k > others) for k in range(1, min(50, matches + others) + 1)]


def test_gallery_shorter_than_the_curve_after_exclusion():
    # Query 0 sees 3 entries, query 1 all 4: rows of unequal length, at which the host fails.
    dist = np.array([[0.0, 0.3, 0.2, 0.1], [0.0, 0.1, 0.2, 0.3]])
    found = rank_metrics(dist, [1, 2], [1, 1, 2, 3], [0, 0], [0, 1, 1, 1], ranks=(1, 20))
    # Both matches are third.
    assert found.curve.tolist() == [0, 0, 1, 1]
    assert found.cmc == {1: 0, 20: 1}


def test_queries_without_match_do_not_count():
    dist = np.array([[0.1, 0.2], [0.1, 0.2], [0.2, 0.1]])
    # Query 1's identity is nowhere; query 2's only under its own camera.
    found = rank_metrics(dist, [1, 9, 2], [1, 2], [0, 0, 1], [1, 1])
    assert (found.num_query, found.num_unmatched) == (3, 2)
    assert np.isnan(found.ap).tolist() == np.isnan(found.inp).tolist() == [False, True, True]
    assert found.mAP == found.cmc[1] == 1


@st.composite
def tie_free_cases(draw):
    case = make_case(
        draw(st.integers(0, 2**32)), draw(st.integers(1, 12)), draw(st.integers(1, 30)), draw(st.integers(2, 6))
    )
    # One match for certain: an entry of its identity under a camera of its own.
    case[2][0], case[4][0] = case[1][0], 99
    return case


@settings(max_examples=40, deadline=None)
@given(tie_free_cases(), st.sampled_from(RULES), st.integers(1, 20), st.randoms(use_true_random=False))
def test_invariants(case, same_camera, chunk_size, random):
    dist, q_pids, g_pids, q_camids, g_camids = case
    ranks = (1, 2, 5, 40)
    found = rank_metrics(*case, same_camera, ranks)
    assert_equals_slow(found, slow_figures(*case, same_camera), ranks)
    assert (np.diff(found.curve) >= 0).all()
    assert 0 < found.mINP <= 1
    assert 0 < found.mAP <= 1
    assert found.curve[-1] <= 1

    same_figures(rank_metrics(*case, same_camera, ranks, chunk_size), found)

    g = np.array(random.sample(range(len(g_pids)), len(g_pids)))
    same_figures(rank_metrics(dist[:, g], q_pids, g_pids[g], q_camids, g_camids[g], same_camera, ranks), found)

    q = np.array(random.sample(range(len(q_pids)), len(q_pids)))
    by_query = rank_metrics(dist[q], q_pids[q], g_pids, q_camids[q], g_camids, same_camera, ranks)
    np.testing.assert_allclose(by_query.ap, found.ap[q])
    assert by_query.cmc == pytest.approx(found.cmc)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("chunk_size", [None, 1, 7, 1000])
def test_features_give_the_figures_of_their_distances(device, kind, chunk_size):
    rng = np.random.default_rng(0)
    _, *labels = make_case(1)
    queries, gallery = (rng.standard_normal((n, 16)).astype(np.float32) for n in (40, 90))
    cosine = (queries @ gallery.T) / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(gallery, axis=1))
    given_ = [kind(part) for part in (queries, gallery)]
    if kind is torch.from_numpy:
        given_ = [part.to(device) for part in given_]
    same_figures(rank_metrics_from_features(*given_, *labels, chunk_size=chunk_size), rank_metrics(1 - cosine, *labels))


def test_memory_layout_does_not_matter():
    dist, *labels = make_case(3)
    expected = rank_metrics(dist, *labels)
    for layout in (np.asfortranarray(dist), torch.from_numpy(dist.T.copy()).t(), dist[:, ::-1].copy()[:, ::-1]):
        same_figures(rank_metrics(layout, *labels), expected)


def test_inputs_are_left_alone():
    dist, *labels = make_case(2)
    tensor, readonly = torch.from_numpy(dist.copy()), dist.copy()
    readonly.flags.writeable = False
    same_figures(rank_metrics(tensor, *labels), rank_metrics(readonly, *labels))
    assert (tensor.numpy() == dist).all()
    assert np.isfinite(readonly).all()
    features = np.random.default_rng(0).standard_normal((130, 8)).astype(np.float32)
    before = features.copy()
    rank_metrics_from_features(features[:40], features[40:], *labels)
    assert (features == before).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_distances_must_be_finite(bad):
    dist, *labels = make_case(0)
    dist[33, 4] = bad
    with pytest.raises(ValueError, match=f"query 33 to gallery entry 4 is {bad}"):
        rank_metrics(dist, *labels, chunk_size=10)


def test_features_must_be_finite():
    _, *labels = make_case(0)
    gallery = np.ones((90, 3))
    gallery[12, 1] = np.nan
    with pytest.raises(ValueError, match="gallery entry 12 is nan"):
        rank_metrics_from_features(np.ones((40, 3)), gallery, *labels)


@pytest.mark.parametrize("labels", [([1], [2], [0], [1]), ([1], [1], [0], [0])])
def test_no_match_at_all(labels):
    with pytest.raises(ValueError, match="none of the 1 queries has a match"):
        rank_metrics(np.zeros((1, 1)), *labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dist": np.zeros((2, 2))}, r"\(1, 2\), not \(2, 2\)"),
        ({"q_camids": [0, 1]}, "query: 1 pids but 2 camids"),
        ({"g_pids": [0.5, 1.0]}, "gallery pids must be a vector of integers"),
        ({"q_pids": [], "q_camids": []}, "the query set is empty"),
        ({"same_camera": "drop"}, "same_camera"),
        ({"ranks": (0, 1)}, "ranks start at 1"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_bad_input(change, message):
    good = {"dist": np.zeros((1, 2)), "q_pids": [1], "g_pids": [1, 2], "q_camids": [0], "g_camids": [1, 1]}
    with pytest.raises(ValueError, match=message):
        rank_metrics(**{**good, **change})


@pytest.mark.parametrize(("queries", "gallery"), [((1, 3), (2, 4)), ((2, 3), (2, 3)), ((3,), (2, 3))])
def test_bad_feature_shapes(queries, gallery):
    with pytest.raises(ValueError, match="features"):
        rank_metrics_from_features(np.ones(queries), np.ones(gallery), [1], [1, 2], [0], [1, 1])
