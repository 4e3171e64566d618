import dataclasses

import numpy as np
import pytest
import torch
from fastreid.evaluation.query_expansion import aqe
from fastreid.evaluation.roc import evaluate_roc
from fastreid.utils.compute_dist import compute_jaccard_distance
from sklearn.metrics import roc_curve

from tests.evaluation.feature_sets import random_features
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation.metrics import rank_metrics
from xreid_plugin.evaluation.ranking import METRICS, RankingProtocol, rankings
from xreid_plugin.evaluation.rerank import Expansion, KReciprocal, Temporal


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def of_task(data, task, features=None):
    features = data.features if features is None else features
    return features[list(task.query)], features[list(task.gallery)]


def cosine_of(queries, gallery):
    return 1 - unit(queries) @ unit(gallery).T


def expected_metrics(data, task, distance, same_camera="exclude"):
    pids, camids = (of_task(data, task, values) for values in (data.pids, data.camids))
    found = rank_metrics(distance, *pids, *camids, same_camera=same_camera)
    values = [*(found.curve[min(rank, len(found.curve)) - 1] for rank in (1, 5, 10, 20)), found.mAP, found.mINP]
    return pytest.approx(dict(zip(METRICS, [100 * value for value in values], strict=True)))


def host_jaccard(queries, gallery, k1, k2):
    features = torch.from_numpy(np.concatenate([unit(queries), unit(gallery)]))
    return compute_jaccard_distance(features, k1, k2, search_option=3)[: len(queries), len(queries) :]


def by_label(data, protocol):
    return {found.label: found.metrics for found in rankings(data, protocol)}


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_raw_metrics_are_those_of_the_cosine_distance(same_camera):
    data = random_features()
    # Swapped sets share cameras, so that the protocol counts.
    data.tasks["V2I"] = RetrievalTask(*(tuple(np.flatnonzero(data.modalities == m)) for m in (1, 0)))
    found = by_label(data, RankingProtocol(same_camera))
    assert list(found) == ["I2V", "V2I"]
    for direction, task in data.tasks.items():
        assert found[direction] == expected_metrics(data, task, cosine_of(*of_task(data, task)), same_camera)


def test_a_grid_is_ranked_in_its_order():
    grid = tuple(KReciprocal(k1, 3, weight) for k1 in (4, 6) for weight in (0.0, 0.3, 1.0))
    found = list(rankings(random_features(), RankingProtocol(rerank=grid)))
    assert [one.method for one in found] == [None, *grid] * 2
    # A weight of 1 leaves the cosine distance.
    assert found[0].metrics == found[3].metrics != found[2].metrics
    for place, setting in enumerate(grid, start=1):
        assert found[place].metrics == by_label(random_features(), RankingProtocol(rerank=(setting,)))["I2V-reranked"]


def test_temporal_metrics_are_those_of_the_authors_formula():
    data = random_features(halves=True)
    found = by_label(data, RankingProtocol(rerank=(KReciprocal(),), temporal=Temporal(4, 2, 0.6, 0.3)))
    assert list(found) == [f"{d}{suffix}" for d in ("I2V", "V2I") for suffix in ("", "-reranked", "-temporal")]
    for direction, task in data.tasks.items():
        queries, gallery = of_task(data, task)
        first, second = (of_task(data, task, features) for features in (data.first_half, data.second_half))
        crossed = host_jaccard(first[0], second[1], 4, 2) + host_jaccard(second[0], first[1], 4, 2)
        cosine = cosine_of(queries, gallery)
        distance = 0.6 * cosine + 0.4 * host_jaccard(queries, gallery, 4, 2) + 0.3 * crossed
        assert found[f"{direction}-temporal"] == expected_metrics(data, task, distance)
    with pytest.raises(ValueError, match="half"):
        list(rankings(dataclasses.replace(data, second_half=None), RankingProtocol(temporal=Temporal())))


def test_query_expansion_sees_one_direction_at_a_time():
    data = random_features()
    found = by_label(data, RankingProtocol(expansion=Expansion(2, 4, 3.0), rerank=(KReciprocal(6, 3, 0.3),)))
    for direction, task in data.tasks.items():
        queries, gallery = (side.numpy() for side in aqe(*map(torch.from_numpy, of_task(data, task)), 2, 4, 3.0))
        cosine = cosine_of(queries, gallery)
        assert found[direction] == expected_metrics(data, task, cosine)
        blended = 0.7 * host_jaccard(queries, gallery, 6, 3) + 0.3 * cosine
        assert found[f"{direction}-reranked"] == expected_metrics(data, task, blended)


def test_verification_metrics_are_the_hosts_in_percent():
    data = random_features()
    found = by_label(data, RankingProtocol(rerank=(KReciprocal(6, 3, 0.3),), roc=True))
    for direction, task in data.tasks.items():
        sides = [side for values in (data.pids, data.camids) for side in of_task(data, task, values)]
        scores, labels = evaluate_roc(cosine_of(*of_task(data, task)), *sides)
        fprs, tprs, _ = roc_curve(labels, scores)
        rates = {f"TPR@FPR={fpr:.0e}": 100 * tprs[np.argmin(np.abs(fprs - fpr))] for fpr in (1e-4, 1e-3, 1e-2)}
        assert {name: found[direction][name] for name in rates} == pytest.approx(rates)
        assert list(found[direction]) == list(found[f"{direction}-reranked"]) == [*METRICS, *rates]


def test_every_part_is_read_from_its_keys():
    cfg = get_cfg()
    assert RankingProtocol.from_config(cfg) == RankingProtocol()
    test, temporal = cfg.TEST, cfg.TEST.RERANK.TEMPORAL
    test.SAME_CAMERA, test.AQE.ENABLED, test.RERANK.ENABLED, temporal.ENABLED = "keep", True, True, True
    test.AQE.QE_TIME, test.AQE.QE_K, test.AQE.ALPHA = 2, 7, 1.5
    test.RERANK.K1, test.RERANK.K2, test.RERANK.LAMBDA = 11, 4, 0.25
    temporal.K1, temporal.K2, temporal.LAMBDA1, temporal.LAMBDA2 = 9, 2, 0.5, 0.2
    assert RankingProtocol.from_config(cfg) == RankingProtocol(
        same_camera="keep",
        expansion=Expansion(times=2, k=7, alpha=1.5),
        rerank=(KReciprocal(k1=11, k2=4, weight=0.25),),
        temporal=Temporal(k1=9, k2=2, lambda1=0.5, lambda2=0.2),
    )


def test_a_file_may_not_name_another_protocol():
    with pytest.raises(ValueError, match="same_camera"):
        RankingProtocol.from_json({"same_camera": "drop"})
