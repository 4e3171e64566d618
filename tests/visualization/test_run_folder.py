import json
import math
import shutil

import pytest

from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.evaluation.features import load_features, save_features
from xreid_plugin.evaluation.results import ALONE, Results, write_results
from xreid_plugin.predictor import TrackletPredictor
from xreid_plugin.visualization.run_folder import (
    ends_of,
    highlights,
    length,
    read_config,
    read_environment,
    read_evaluations,
    read_history,
    run_features,
    tables_of,
)


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def test_a_run_is_read_as_it_was_trained(run):
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        read_config(run.parent, [])
    # Where the configuration leaves the length of an epoch to the data, evaluations tell it.
    keys = ["MODEL.CPC.MOMENTUM", "0.7", "SOLVER.MAX_EPOCH", "9", "SOLVER.ITERS_PER_EPOCH", "0"]
    (cfg, _), evaluations, history = read_config(run, keys), read_evaluations(run), read_history(run)
    assert length(cfg, evaluations, history) == "2 of 9 epochs"
    assert [evaluation.label for evaluation in evaluations] == ["before training", "epoch 1", "epoch 2"]
    assert max(history["lr"][0]) == 6
    assert dict(read_environment(run))["GPU available"]
    assert str(run) == cfg.OUTPUT_DIR
    found = dict(highlights(cfg))
    assert found["MODEL.CPC.MOMENTUM"] == "0.7"
    assert "48, 24" in found["INPUT.SIZE_TRAIN"]
    assert "MODEL.CPC.ENABLED" not in found


def test_the_checkpoint_is_the_runs_last_unless_another_is_asked_for(run):
    # As a run is that began with weights, or whose early checkpoint was evaluated.
    (run / "config.yaml").write_text(read_config(run, ["MODEL.WEIGHTS", "began_with.pth"])[1])
    cfg, configuration = read_config(run, [])
    assert checkpoint_to_evaluate(cfg) == run / "model_final.pth"
    assert "began_with.pth" in configuration
    assert read_config(run, ["MODEL.WEIGHTS", "a.pth"])[0].MODEL.WEIGHTS == "a.pth"


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


def test_metrics_stand_side_by_side_under_one_protocol_and_of_one_run_alone(run, tmp_path):
    before = tables_of(read_evaluations(run))
    assert [len(group) for _, group in before] == [3]
    assert "drawn people" in before[0][0]
    evaluated(run, ALONE, 1, checkpoint="model_final.pth", frames="dense")
    evaluated(run, ALONE, 2, checkpoint="model_final.pth", frames="dense", same_camera="keep")
    evaluated(run, ALONE, 3, checkpoint=str(tmp_path / "elsewhere.pth"), frames="dense")
    tables = tables_of(read_evaluations(run))
    assert tables[0] == before[0]
    assert [[one.results.metrics["I2V/mAP"] for one in group] for _, group in tables[1:]] == [[1.0], [2.0], [3.0]]
    assert all("dense frames" in title for title, _ in tables[1:])
    assert "other models" in tables[3][0]
    # The last row of the run is still its own.
    found = read_evaluations(run)
    assert ends_of(found)[""][1].label == "epoch 2"
    # Also where training made none, since other models' metrics are not the run's.
    assert ends_of([one for one in found if one.epoch is None])[""][1].results.metrics["I2V/mAP"] == 2.0


def test_features_are_of_the_checkpoint_that_is_shown(run):
    told = []

    def features(*overrides):
        return run_features(read_config(run, list(overrides))[0], None, True, told.append)

    saved = load_features(run / "features.npz")
    assert saved.protocol["model"] == TrackletPredictor(run / "model_final.pth", "cpu").fingerprint
    assert features().protocol == saved.protocol
    assert told == []
    # Newer than the checkpoint, but of another model.
    save_features(run / "features.npz", features("MODEL.WEIGHTS", str(run / "model_0000.pth")))
    assert len(told) == 1
    assert load_features(run / "features.npz").protocol["model"] != saved.protocol["model"]
    assert features().protocol["model"] == saved.protocol["model"]
    assert len(told) == 2
    assert (run / "features_model_final.npz").is_file()
