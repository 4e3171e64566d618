import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.small_set import small_config
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.tracklet import INDICES, Modality, Tracklet
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator, tracklet_means, with_halves
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.evaluation.ranking import RankingProtocol, rankings


@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_means_do_not_depend_on_the_order_or_size_of_batches(order, size):
    clips = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [0.0, 6.0], [1.0, 1.0]])
    owners = torch.tensor([0, 0, 1, 1, 1, 2])
    order = torch.tensor(order)
    batches = [(owners[part], clips[part]) for part in order.split(size)]
    expected = torch.tensor([[2.0, 0.0], [0.0, 4.0], [1.0, 1.0]])
    torch.testing.assert_close(tracklet_means(batches, 3), expected)


def evaluated(dataset, cfg, features):
    evaluator = CrossModalityEvaluator(cfg, dataset)
    evaluator.reset()
    for indices in torch.arange(len(features)).split(4):
        evaluator.process({INDICES: indices}, features[indices])
    return evaluator, evaluator.evaluate()


EVERYTHING = [
    *("TEST.RERANK.ENABLED", "True", "TEST.RERANK.K1", "6", "TEST.RERANK.K2", "3"),
    *("TEST.RERANK.TEMPORAL.ENABLED", "True", "TEST.ROC.ENABLED", "True"),
    *("TEST.AQE.ENABLED", "True", "TEST.AQE.QE_K", "3"),
]


def random_embeddings(entries):
    return torch.randn(entries, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("overrides", [[], EVERYTHING], ids=["raw", "everything"])
def test_saved_features_give_the_very_metrics_of_the_run(small_set, tmp_path, overrides):
    path = tmp_path / "made" / "features.npz"
    cfg = small_config(small_set, tmp_path, "TEST.SAVE_FEATURES", str(path), *overrides)
    dataset = build_dataset(cfg, "HITSZVCM")
    entries = len(dataset.test) * (3 if overrides is EVERYTHING else 1)
    embeddings = random_embeddings(entries)
    evaluator, results = evaluated(dataset, cfg, embeddings)
    assert len(evaluator.tracklets) == entries
    data = load_features(path)
    for part, expected in zip((data.features, data.first_half, data.second_half), embeddings.chunk(3), strict=True):
        if overrides is EVERYTHING:
            np.testing.assert_array_equal(part, expected)
    protocol = RankingProtocol.from_json(data.protocol)
    again = {f"{r.label}/{name}": value for r in rankings(data, protocol) for name, value in r.metrics.items()}
    assert again == dict(results)
    assert list(again) == list(results)
    assert data.names == tuple(tracklet.name for tracklet in dataset.test)
    written = json.loads(json.dumps({**evaluator.protocol, "model": evaluator.model}))
    assert data.protocol.items() <= written.items()


@pytest.mark.parametrize(
    ("length", "first", "second"),
    [(1, [0], [0]), (2, [0], [1]), (5, [0, 1], [2, 3, 4]), (6, [0, 1, 2], [3, 4, 5])],
)
def test_the_halves_of_a_tracklet(length, first, second):
    whole = Tracklet([f"{i}.jpg" for i in range(length)], 1, 3, Modality.VISIBLE, "0001-D3")
    _, one, two = with_halves([whole])
    assert (list(one.paths), list(two.paths)) == ([f"{i}.jpg" for i in first], [f"{i}.jpg" for i in second])
    assert one[1:4] == two[1:4] == whole[1:4]
