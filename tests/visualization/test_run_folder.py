import json
import math

import pytest

from xreid_plugin.evaluation.results import ALONE, Results, write_results
from xreid_plugin.visualization.run_folder import ends_of, read_evaluations, read_history


def test_the_scalars_of_a_run(tmp_path):
    lines = [{"iteration": 0, "lr": 1}, {"iteration": 2, "lr": 2, "loss": math.nan}]
    # The run is writing a line.
    (tmp_path / "metrics.json").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iteration": 3, "l')
    history = read_history(tmp_path)
    assert history["lr"] == ([1, 3], [1, 2])
    assert math.isnan(history["loss"][1][0])
    (tmp_path / "metrics.json").write_text("")
    with pytest.raises(ValueError, match=r"metrics\.json"):
        read_history(tmp_path)


def evaluated(folder, label, number, dataset="", checkpoint="", **protocol):
    metrics = {"I2V/mAP": float(number), "I2V-reranked/mAP": 5.0}
    model = {"fingerprint": str(number), "checkpoint": checkpoint, "time": f"2026-01-0{number + 1}"}
    protocol = {"frames": "even", "same_camera": "exclude", "frames_per_clip": 2, "size": [8, 4], **protocol}
    write_results(folder, label, dataset, Results(metrics, protocol, {"I2V": [number, 50.0]}, model))


def test_evaluations_come_in_the_order_of_training_by_test_set_without_those_of_earlier_versions(tmp_path, caplog):
    named = [("A", "epoch 10"), ("A", "epoch 9"), ("A", ALONE), ("A", "before training"), ("B", "epoch 1")]
    for number, (dataset, label) in enumerate(named):
        evaluated(tmp_path, label, number, dataset, checkpoint="model_final.pth" if label == ALONE else "")
    (tmp_path / "results_of_mine.json").touch()
    (tmp_path / "results_B_epoch_2.json").write_text('{"metrics": {}}')
    found = read_evaluations(tmp_path)
    (warning,) = caplog.messages
    assert "results_B_epoch_2.json" in warning
    labels = ["before training", "epoch 9", "epoch 10", "model_final.pth", "epoch 1"]
    assert [(e.dataset, e.label) for e in found] == list(zip("AAAAB", labels, strict=True))
    assert [e.results.metrics["I2V/mAP"] for e in found] == [3, 1, 0, 2, 4]
    assert found[0].table == {"I2V": {"mAP": 3.0}, "I2V-reranked": {"mAP": 5.0}}
    first, last = ends_of(found)["A"]
    assert (first.label, last.label) == ("before training", "epoch 10")
