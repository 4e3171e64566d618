import numpy as np
import pytest
import torch
from fastreid.evaluation import ReidEvaluator
from fastreid.utils.compute_dist import build_dist, compute_jaccard_distance

from xreid_plugin.config import get_cfg

NUM_QUERY = 9
K1, K2, WEIGHT = 6, 3, 0.3


@pytest.fixture
def sets():
    """Features, identities and cameras of queries and then gallery; identities overlap a little."""
    generator = torch.Generator().manual_seed(0)
    pids = torch.arange(45) % NUM_QUERY
    centres = torch.randn(NUM_QUERY, 6, generator=generator)
    features = centres[pids] + torch.randn(45, 6, generator=generator)
    camids = (torch.arange(45) >= NUM_QUERY) * (1 + torch.arange(45) % 2)
    return features, pids, camids


def test_jaccard_is_the_hosts_own_cpu_search(sets):
    features, _, _ = sets
    expected = compute_jaccard_distance(features, K1, K2, search_option=3)[:NUM_QUERY, NUM_QUERY:]
    found = build_dist(features[:NUM_QUERY], features[NUM_QUERY:], "jaccard", k1=K1, k2=K2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_other_distances_are_the_hosts(metric):
    queries, gallery = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 4.0], [-4.0, 3.0], [0.0, 2.0]])
    expected = {"cosine": [[0.0, 1.0, 0.2]], "euclidean": [[0.0, 50.0, 13.0]]}
    np.testing.assert_allclose(build_dist(queries, gallery, metric), expected[metric], atol=1e-5)


def average_precision(distances, matches):
    hits = np.flatnonzero(matches[np.argsort(distances)]) + 1
    return np.mean([number / place for number, place in enumerate(hits, start=1)])


def test_the_hosts_evaluator_reranks_on_the_cpu(sets):
    features, pids, camids = sets
    cfg = get_cfg()
    cfg.merge_from_list(["TEST.RERANK.ENABLED", True, "TEST.RERANK.K1", K1, "TEST.RERANK.K2", K2])
    cfg.merge_from_list(["TEST.RERANK.LAMBDA", WEIGHT])
    evaluator = ReidEvaluator(cfg, num_query=NUM_QUERY)
    for part in (slice(0, 20), slice(20, None)):
        evaluator.process({"targets": pids[part], "camids": camids[part]}, features[part])
    results = evaluator.evaluate()

    unit = features / features.norm(dim=1, keepdim=True)
    jaccard = compute_jaccard_distance(unit, K1, K2, search_option=3)[:NUM_QUERY, NUM_QUERY:]
    cosine = (1 - unit[:NUM_QUERY] @ unit[NUM_QUERY:].t()).numpy()
    matches = (pids[:NUM_QUERY, None] == pids[NUM_QUERY:]).numpy()

    def figures(distance):
        firsts = matches[np.arange(NUM_QUERY), distance.argmin(1)]
        return 100 * np.mean(list(map(average_precision, distance, matches))), 100 * firsts.mean()

    expected = figures(jaccard * (1 - WEIGHT) + cosine * WEIGHT)
    assert (results["mAP"], results["Rank-1"]) == pytest.approx(expected)
    assert expected != pytest.approx(figures(cosine))
