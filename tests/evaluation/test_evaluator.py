import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import xreid_plugin  # noqa: F401  (mends the host before its evaluator is imported)
from tests.data.small_set import small_config
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.tracklet import INDICES
from xreid_plugin.evaluation.evaluator import FIGURES, CrossModalityEvaluator, tracklet_embeddings
from xreid_plugin.evaluation.ranking import rank_metrics
from xreid_plugin.evaluation.report import results_table, write_results


@given(st.permutations(range(6)), st.integers(1, 6))
def test_embeddings_do_not_depend_on_the_order_or_size_of_batches(order, size):
    clips = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [0.0, 6.0], [1.0, 1.0]])
    owners = torch.tensor([0, 0, 1, 1, 1, 2])
    order = torch.tensor(order)
    batches = [(owners[part], clips[part]) for part in order.split(size)]
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5**0.5, 0.5**0.5]])
    torch.testing.assert_close(tracklet_embeddings(batches, 3), expected)


def test_clips_are_averaged_before_normalising():
    clips = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    (embedding,) = tracklet_embeddings([(torch.tensor([0, 0]), clips)], 1)
    torch.testing.assert_close(embedding, torch.tensor([3.0, 1.0]) / 10**0.5)


def test_a_tracklet_without_a_clip_is_an_error():
    with pytest.raises(RuntimeError, match="1 of 3 test tracklets"):
        tracklet_embeddings([(torch.tensor([0, 2]), torch.ones(2, 4))], 3)


def evaluated(dataset, cfg, features):
    evaluator = CrossModalityEvaluator(cfg, dataset)
    evaluator.reset()
    for indices in torch.arange(len(features)).split(4):
        evaluator.process({INDICES: indices}, features[indices])
    return evaluator, evaluator.evaluate()


def test_perfect_features_rank_perfectly_in_both_directions(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    dataset = build_dataset(cfg, "HITSZVCM")
    pids = torch.tensor([tracklet.pid for tracklet in dataset.test])
    features = torch.nn.functional.one_hot(pids).float()
    evaluator, results = evaluated(dataset, cfg, features)
    assert list(results) == [f"{direction}/{name}" for direction in ("I2V", "V2I") for name in FIGURES]
    assert set(results.values()) == {100.0}
    json.dumps(evaluator.protocol)


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_figures_are_those_of_the_distance_matrix(small_set, tmp_path, same_camera):
    cfg = small_config(small_set, tmp_path, "TEST.SAME_CAMERA", same_camera)
    dataset = build_dataset(cfg, "HITSZVCM")
    features = torch.randn(len(dataset.test), 16, generator=torch.Generator().manual_seed(0))
    _, results = evaluated(dataset, cfg, features)
    unit = torch.nn.functional.normalize(features)
    pids = np.array([tracklet.pid for tracklet in dataset.test])
    camids = np.array([tracklet.camid for tracklet in dataset.test])
    for direction, (query, gallery) in dataset.tasks.items():
        q, g = list(query), list(gallery)
        expected = rank_metrics(1 - unit[q] @ unit[g].t(), pids[q], pids[g], camids[q], camids[g], same_camera)
        assert results[f"{direction}/mAP"] == pytest.approx(100 * expected.mAP, abs=1e-4)
        assert results[f"{direction}/Rank-5"] == pytest.approx(100 * expected.cmc[5], abs=1e-4)


def test_an_unknown_protocol_is_an_error(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path, "TEST.SAME_CAMERA", "drop")
    with pytest.raises(ValueError, match=r"TEST\.SAME_CAMERA"):
        CrossModalityEvaluator(cfg, build_dataset(cfg, "HITSZVCM"))


def test_the_table_has_a_row_a_label_and_direction():
    figures = {f"{direction}/{name}": 12.5 for direction in ("I2V", "V2I") for name in FIGURES}
    rows = results_table({"before": figures, "after": figures}).splitlines()[2:]
    assert [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows] == [
        ("I2V", "before"),
        ("I2V", "after"),
        ("V2I", "before"),
        ("V2I", "after"),
    ]
    assert all(row.count("12.50") == len(FIGURES) for row in rows)


def test_written_results_are_read_back(tmp_path):
    write_results(tmp_path / "results.json", {"I2V/mAP": 50.0}, {"frames": "even"})
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "figures": {"I2V/mAP": 50.0},
        "protocol": {"frames": "even"},
    }
