import shutil

import pytest

from xreid_plugin.visualization.run_folder import RunFolder, flat, read_environment


def test_a_run_is_read_as_it_was_trained(small_run):
    run = RunFolder.read(small_run, [])
    assert [evaluation.label for evaluation in run.evaluations] == ["before training", "epoch 1", "epoch 2"]
    assert [evaluation.label for evaluation in run.last] == ["epoch 2"]
    assert max(run.history["lr"].iterations) == 6
    assert dict(run.environment)["GPU available"]
    assert not any("site-packages" in value for _, value in run.environment)


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


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.yaml is missing: expected the folder of a run"):
        RunFolder.read(tmp_path, [])


def test_a_log_without_a_table_tells_nothing(tmp_path):
    assert read_environment(tmp_path) == []
    (tmp_path / "log.txt").write_bytes(b"\xff no table\n")
    assert read_environment(tmp_path) == []


def test_keys_are_dotted():
    assert list(flat({"B": {"C": (1, 2)}, "A": 0})) == [("A", 0), ("B.C", [1, 2])]
