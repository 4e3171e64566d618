import shutil

import pytest

from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.visualization.page_content import epochs_in_words
from xreid_plugin.visualization.run_folder import RunFolder, flat, read_environment


def test_a_run_is_read_as_it_was_trained(small_run):
    run = RunFolder.read(small_run, [])
    assert [evaluation.label for evaluation in run.evaluations] == ["before training", "epoch 1", "epoch 2"]
    assert [evaluation.label for evaluation in run.last] == ["epoch 2"]
    assert max(run.history["lr"].iterations) == 6
    assert dict(run.environment)["GPU available"]
    assert not any("site-packages" in value for _, value in run.environment)


def test_an_evaluation_by_itself_is_not_the_last_of_training(small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    shutil.copy(run / "results_before_training.json", run / "results_evaluation_dense.json")
    assert [evaluation.label for evaluation in RunFolder.read(run, []).last] == ["epoch 2"]


def test_highlights_are_what_differs_from_the_defaults(small_run):
    highlights = dict(RunFolder.read(small_run, ["MODEL.CPC.MOMENTUM", "0.7"]).highlights)
    assert highlights["MODEL.CPC.MOMENTUM"] == "0.7"
    assert highlights["INPUT.SIZE_TRAIN"] == "48, 24"
    assert "MODEL.CPC.ENABLED" not in highlights
    assert not any(str(small_run.parent) in value for value in highlights.values())


def test_a_folder_that_was_moved_is_its_own_output(small_run, tmp_path):
    moved = shutil.copytree(small_run, tmp_path / "moved")
    assert tmp_path / "moved" == moved
    assert str(moved) == RunFolder.read(moved, []).cfg.OUTPUT_DIR


def test_the_epochs_that_a_run_has_had(small_run, tmp_path):
    # Of two epochs, each three iterations, with an evaluation after each.
    run = RunFolder.read(small_run, ["SOLVER.MAX_EPOCH", "9"])
    assert run.cfg.SOLVER.ITERS_PER_EPOCH == 3
    assert run.epochs == 2
    assert epochs_in_words(run.epochs, 9) == "2 of 9 epochs"
    assert epochs_in_words(2, 2) == "2 epochs"

    # Where the configuration leaves the length of an epoch to the data, an evaluation tells it.
    by_data = ["SOLVER.ITERS_PER_EPOCH", "0"]
    assert RunFolder.read(small_run, by_data).epochs == 2
    early = shutil.copytree(small_run, tmp_path / "early", ignore=shutil.ignore_patterns("results_epoch_*"))
    assert RunFolder.read(early, []).epochs == 2
    assert RunFolder.read(early, by_data).epochs is None
    assert epochs_in_words(None, 9) == "9 epochs planned"


def test_the_checkpoint_is_the_runs_last_unless_another_is_asked_for(small_run, tmp_path):
    # As a run is that began with weights, or whose early checkpoint was evaluated.
    run = shutil.copytree(small_run, tmp_path / "run")
    cfg = RunFolder.read(run, ["MODEL.WEIGHTS", "began_with.pth"]).cfg
    (run / "config.yaml").write_text(cfg.dump())
    assert RunFolder.read(run, []).cfg.MODEL.WEIGHTS == "began_with.pth"
    assert checkpoint_to_evaluate(RunFolder.read(run, []).trained_config) == run / "model_final.pth"
    asked = RunFolder.read(run, ["MODEL.WEIGHTS", str(run / "model_0000.pth")]).trained_config
    assert str(run / "model_0000.pth") == asked.MODEL.WEIGHTS
    for name in ("last_checkpoint", "checkpoints.txt"):
        (run / name).unlink(missing_ok=True)
    assert RunFolder.read(run, []).trained_config.MODEL.WEIGHTS == "began_with.pth"


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.yaml is missing: expected the folder of a run"):
        RunFolder.read(tmp_path, [])


def test_a_log_without_a_table_tells_nothing(tmp_path):
    assert read_environment(tmp_path) == []
    (tmp_path / "log.txt").write_bytes(b"\xff no table\n")
    assert read_environment(tmp_path) == []


def test_keys_are_dotted():
    assert list(flat({"B": {"C": (1, 2)}, "A": 0})) == [("A", 0), ("B.C", [1, 2])]
