"""Re-ranking against the host's dense code and against the definition, written out with sets."""

import tracemalloc

import numpy as np
import pytest
import torch
from fastreid.evaluation.query_expansion import aqe
from fastreid.utils.compute_dist import compute_jaccard_distance

from xreid_plugin.evaluation import rerank
from xreid_plugin.evaluation.rerank import (
    Expansion,
    jaccard_distance,
    neighbours,
    query_expansion,
    torch_neighbours,
)

CPU_SEARCH = 3
Q = 30


def random_features(count=110, dimensions=6, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)


def clustered_features(count=110, clusters=9, seed=1):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, 12))
    return (centres[rng.integers(clusters, size=count)] + 0.3 * rng.standard_normal((count, 12))).astype(np.float32)


def host_distance(features, k1, k2, num_query=Q):
    dense = compute_jaccard_distance(torch.from_numpy(features), k1, k2, search_option=CPU_SEARCH)
    return dense[:num_query, num_query:]


# With more copies than k1 a feature need not be among its own neighbours.
@pytest.mark.parametrize(
    "features", [random_features(), clustered_features(), np.concatenate([random_features(20)] * 8)]
)
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (5, 1), (20, 6)])
def test_equals_the_host(features, k1, k2):
    found = jaccard_distance(features, Q, k1, k2)
    assert found.dtype == np.float32
    assert found.shape == (Q, len(features) - Q)
    np.testing.assert_allclose(found, host_distance(features, k1, k2), atol=1e-5)


def test_chunks_change_nothing_and_k1_beyond_the_set_is_the_whole_set(monkeypatch):
    features = clustered_features()
    everything = jaccard_distance(features, Q, len(features), 6)
    np.testing.assert_array_equal(jaccard_distance(features, Q, 2 * len(features), 6), everything)
    expected = jaccard_distance(features, Q)
    monkeypatch.setattr(rerank, "WEIGHT_PAIRS", 11)
    monkeypatch.setattr(rerank, "RESULT_ENTRIES", 100)
    np.testing.assert_allclose(jaccard_distance(features, Q), expected, atol=1e-6)


def test_memory_does_not_grow_with_the_square():
    features = clustered_features(3000, clusters=150)
    jaccard_distance(features[:100], 10)
    tracemalloc.start()
    jaccard_distance(features, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Less than one byte an entry of N x N.
    assert peak < 3000 * 3000


SEARCHES = {"automatic": neighbours, "torch": lambda features, k: torch_neighbours(torch.tensor(features), k)}
if torch.cuda.is_available():
    SEARCHES["on the GPU"] = lambda features, k: neighbours(features, k, "cuda")


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
@pytest.mark.parametrize("k", [1, 5, 60])
def test_neighbours_are_those_of_a_full_sort(search, k, monkeypatch):
    monkeypatch.setattr(rerank, "BLOCK_ENTRIES", 60 * 13)
    features = random_features(60, 8)
    distances = ((features[:, None].astype(np.float64) - features[None]) ** 2).sum(2)
    found = search(features, k)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :k])


@pytest.mark.parametrize(("k", "alpha"), [(4, 3.0), (30, 3.0), (4, 0), (4, 2.5)])
def test_expansion_equals_the_host(k, alpha):
    features = torch.from_numpy(clustered_features())
    expected = torch.cat(aqe(features[:Q], features[Q:], 2, k, alpha))
    torch.testing.assert_close(query_expansion(features, Expansion(2, k, alpha)), expected)


def test_neighbours_that_look_away_do_not_count_where_the_power_is_no_whole_number():
    features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    # The first is orthogonal to the second and opposed to the third.
    expected = features / 3
    torch.testing.assert_close(query_expansion(features, Expansion(1, 3, 2.5)), expected)
