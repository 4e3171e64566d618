import dataclasses

import numpy as np
import pytest
import torch
from fastreid.evaluation.query_expansion import aqe
from fastreid.evaluation.roc import evaluate_roc
from fastreid.utils.compute_dist import compute_jaccard_distance
from sklearn.metrics import roc_curve

from tests.evaluation.feature_sets import random_features
from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation import scoring
from xreid_plugin.evaluation.ranking import rank_metrics
from xreid_plugin.evaluation.rules import Expansion, KReciprocal, RankingRules, Temporal
from xreid_plugin.evaluation.scoring import FIGURES, rankings


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def of_task(data, task, features=None):
    features = data.features if features is None else features
    return features[list(task.query)], features[list(task.gallery)]


def expected_figures(data, task, distance, same_camera="exclude"):
    pids, camids = (of_task(data, task, values) for values in (data.pids, data.camids))
    metrics = rank_metrics(distance, *pids, *camids, same_camera)
    values = [*(metrics.cmc[rank] for rank in (1, 5, 10, 20)), metrics.mAP, metrics.mINP]
    return dict(zip(FIGURES, [100 * value for value in values], strict=True))


def host_jaccard(queries, gallery, k1, k2):
    features = torch.from_numpy(np.concatenate([unit(queries), unit(gallery)]))
    return compute_jaccard_distance(features, k1, k2, search_option=3)[: len(queries), len(queries) :]


def by_label(data, rules):
    return {ranking.label: ranking.figures for ranking in rankings(data, rules)}


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_raw_figures_are_those_of_the_cosine_distance(same_camera):
    data = random_features()
    # Swapped sets share cameras, so that the rule counts.
    data.tasks["V2I"] = RetrievalTask(*(tuple(np.flatnonzero(data.modalities == m)) for m in (1, 0)))
    found = by_label(data, RankingRules(same_camera))
    assert list(found) == ["I2V", "V2I"]
    for direction, task in data.tasks.items():
        queries, gallery = of_task(data, task)
        distance = 1 - unit(queries) @ unit(gallery).T
        assert found[direction] == pytest.approx(expected_figures(data, task, distance, same_camera))


def test_reranked_figures_stand_beside_the_raw_and_are_blended_as_in_the_host():
    data = random_features()
    found = by_label(data, RankingRules(rerank=(KReciprocal(6, 3, 0.3),)))
    assert list(found) == ["I2V", "I2V-reranked", "V2I", "V2I-reranked"]
    raw = by_label(data, RankingRules())
    for direction, task in data.tasks.items():
        assert found[direction] == raw[direction]
        queries, gallery = of_task(data, task)
        distance = 0.7 * host_jaccard(queries, gallery, 6, 3) + 0.3 * (1 - unit(queries) @ unit(gallery).T)
        assert found[f"{direction}-reranked"] == pytest.approx(expected_figures(data, task, distance))
        assert found[f"{direction}-reranked"] != raw[direction]


def test_a_weight_of_one_changes_nothing():
    for ranking in rankings(random_features(), RankingRules(rerank=(KReciprocal(6, 3, 1.0),))):
        if ranking.method is None:
            raw = ranking.figures
        else:
            assert ranking.figures == raw


def test_a_grid_is_ranked_in_its_order_with_one_encoding_for_all_weights(monkeypatch):
    made = []
    jaccard_distance = scoring.jaccard_distance

    def counted(features, num_query, k1, k2, device):
        made.append((k1, k2))
        return jaccard_distance(features, num_query, k1, k2, device)

    monkeypatch.setattr(scoring, "jaccard_distance", counted)
    grid = tuple(KReciprocal(k1, 3, weight) for k1 in (4, 6) for weight in (0.0, 0.3, 0.6))
    found = list(rankings(random_features(), RankingRules(rerank=grid)))
    assert [ranking.method for ranking in found] == [None, *grid] * 2
    assert made == [(4, 3), (6, 3)] * 2
    alone = [
        list(rankings(random_features(), RankingRules(rerank=(setting,))))[direction]
        for direction in (1, 3)
        for setting in grid
    ]
    assert [r.figures for r in found if r.method] == [r.figures for r in alone]


def test_temporal_figures_are_those_of_the_authors_formula():
    data = random_features(halves=True)
    found = by_label(data, RankingRules(rerank=(KReciprocal(),), temporal=Temporal(4, 2, 0.6, 0.3)))
    assert list(found) == [f"{d}{suffix}" for d in ("I2V", "V2I") for suffix in ("", "-reranked", "-temporal")]
    for direction, task in data.tasks.items():
        queries, gallery = of_task(data, task)
        first, second = (of_task(data, task, features) for features in (data.first_half, data.second_half))
        crossed = host_jaccard(first[0], second[1], 4, 2) + host_jaccard(second[0], first[1], 4, 2)
        cosine = 1 - unit(queries) @ unit(gallery).T
        distance = 0.6 * cosine + 0.4 * host_jaccard(queries, gallery, 4, 2) + 0.3 * crossed
        assert found[f"{direction}-temporal"] == pytest.approx(expected_figures(data, task, distance))


def test_temporal_reranking_without_halves_is_an_error():
    data = dataclasses.replace(random_features(halves=True), second_half=None)
    with pytest.raises(ValueError, match="first and of the second half"):
        list(rankings(data, RankingRules(temporal=Temporal())))


def expanded_by_loop(features, k, alpha):
    """Each feature becomes the mean of its k nearest, itself included, weighted by the power of their cosines."""
    cosines = unit(features) @ unit(features).T
    expanded = []
    for row in cosines:
        nearest = np.argsort(-row, kind="stable")[:k]
        expanded.append(sum(row[i] ** alpha * features[i] for i in nearest) / k)
    return np.stack(expanded)


def test_query_expansion_sees_one_direction_at_a_time():
    data = random_features()
    found = by_label(data, RankingRules(expansion=Expansion(2, 4, 3.0), rerank=(KReciprocal(6, 3, 0.3),)))
    for direction, task in data.tasks.items():
        both = np.concatenate(of_task(data, task))
        for _ in range(2):
            both = expanded_by_loop(both, 4, 3.0)
        queries, gallery = np.split(both, [len(task.query)])
        cosine = 1 - unit(queries) @ unit(gallery).T
        assert found[direction] == pytest.approx(expected_figures(data, task, cosine))
        blended = 0.7 * host_jaccard(queries, gallery, 6, 3) + 0.3 * cosine
        assert found[f"{direction}-reranked"] == pytest.approx(expected_figures(data, task, blended))


def opposed_features():
    """Some of a feature's nearest look away from it: there are few, in many directions."""
    data = random_features()
    assert (unit(data.features) @ unit(data.features).T).min() < -0.5
    count = sum(len(side) for side in data.tasks["I2V"])
    return data, Expansion(2, count - 1, 2.5)


def test_neighbours_that_look_away_do_not_count_where_the_power_is_no_whole_number():
    data, expansion = opposed_features()
    found = by_label(data, RankingRules(expansion=expansion))
    for direction, task in data.tasks.items():
        both = np.concatenate(of_task(data, task)).astype(np.float64)
        for _ in range(2):
            weights = np.maximum(unit(both) @ unit(both).T, 0) ** 2.5
            weights[np.arange(len(both)), weights.argmin(1)] = 0
            both = weights @ both / expansion.k
        queries, gallery = np.split(both, [len(task.query)])
        assert found[direction] == pytest.approx(expected_figures(data, task, 1 - unit(queries) @ unit(gallery).T))


@pytest.mark.parametrize("alpha", [0, 1.0, 3, 2.5])
def test_expansion_is_the_hosts_wherever_the_host_has_numbers(alpha):
    data, _ = opposed_features()
    sides = [torch.from_numpy(side) for side in of_task(data, data.tasks["I2V"])]
    # The host's power of a negative cosine is NaN where it is no whole number; of whole ones every bit is the host's.
    few = Expansion(2, 3, alpha)
    for found, expected in zip(scoring.expanded(*sides, few), aqe(*sides, 2, 3, alpha), strict=True):
        torch.testing.assert_close(found, expected, **({} if alpha == 2.5 else {"rtol": 0, "atol": 0}))


def test_expansion_needs_more_tracklets_than_neighbours():
    data = random_features()
    count = sum(len(side) for side in data.tasks["I2V"])
    list(rankings(data, RankingRules(expansion=Expansion(k=count - 1))))
    with pytest.raises(ValueError, match=r"TEST\.AQE\.QE_K"):
        list(rankings(data, RankingRules(expansion=Expansion(k=count))))


def test_verification_figures_are_the_hosts_in_percent():
    data = random_features()
    rules = RankingRules(rerank=(KReciprocal(6, 3, 0.3),), roc=True)
    found = by_label(data, rules)
    for direction, task in data.tasks.items():
        queries, gallery = of_task(data, task)
        sides = [side for values in (data.pids, data.camids) for side in of_task(data, task, values)]
        cosine = 1 - unit(queries) @ unit(gallery).T
        blended = 0.7 * host_jaccard(queries, gallery, 6, 3) + 0.3 * cosine
        for label, distance in ((direction, cosine), (f"{direction}-reranked", blended)):
            scores, labels = evaluate_roc(distance, *sides)
            fprs, tprs, _ = roc_curve(labels, scores)
            for fpr in (1e-4, 1e-3, 1e-2):
                expected = 100 * tprs[np.argmin(np.abs(fprs - fpr))]
                assert found[label][f"TPR@FPR={fpr:.0e}"] == pytest.approx(expected)
        assert list(found[direction]) == [*FIGURES, "TPR@FPR=1e-04", "TPR@FPR=1e-03", "TPR@FPR=1e-02"]
