import argparse
import subprocess
import sys

import pytest
import torch

from tests.data.small_set import TRAIN_IDENTITIES, small_config
from xreid_plugin.engine.checkpoints import read_checkpoint
from xreid_plugin.engine.setup import (
    adopt_checkpoint_facts,
    checkpoint_to_evaluate,
    complete_config,
    lock_folder,
    setup,
)


def test_completing_counts_identities_and_cameras(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    complete_config(cfg)
    assert cfg.MODEL.HEADS.NUM_CLASSES == TRAIN_IDENTITIES
    assert cfg.MODEL.BACKBONE.CAMERAS == sorted(cfg.MODEL.BACKBONE.CAMERAS) != []


def test_a_start_without_data_leaves_no_folder(tmp_path):
    cfg = small_config(tmp_path / "nowhere", tmp_path)
    cfg.OUTPUT_DIR, cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.BACKBONE.CAMERAS = str(tmp_path / "run"), 7, [5]
    (tmp_path / "run.yml").write_text(cfg.dump())
    arguments = argparse.Namespace(config_file=str(tmp_path / "run.yml"), opts=[], eval_only=False, resume=False)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        setup(arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yml"]


@pytest.mark.parametrize(
    "overrides", [["MODEL.BACKBONE.CAMERA_EMBEDDING", "False"], ["MODEL.BACKBONE.NAME", "build_resnet_backbone"]]
)
def test_no_camera_embedding_wants_no_cameras(small_set, tmp_path, overrides):
    cfg = small_config(small_set, tmp_path, *overrides)
    complete_config(cfg)
    assert cfg.MODEL.BACKBONE.CAMERAS == []


# Takes the lock, says so, and waits.
ANOTHER = (
    "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
)


def test_a_second_training_in_a_folder_is_refused_and_a_killed_one_leaves_it_free(tmp_path):
    command = [sys.executable, "-c", ANOTHER, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as another:
        another.stdout.readline()
        with pytest.raises(BlockingIOError, match=str(tmp_path)):
            lock_folder(tmp_path)
        another.kill()
    lock_folder(tmp_path)


def test_the_last_checkpoint_is_evaluated_where_none_is_named(tmp_path):
    cfg = small_config(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"MODEL\.WEIGHTS"):
        checkpoint_to_evaluate(cfg)
    (tmp_path / "model_0003.pth").touch()
    (tmp_path / "last_checkpoint").write_text("model_0003.pth")
    assert checkpoint_to_evaluate(cfg) == tmp_path / "model_0003.pth"
    cfg.MODEL.WEIGHTS = str(tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError, match="other"):
        checkpoint_to_evaluate(cfg)


def test_a_checkpoint_brings_its_identities_and_cameras(tmp_path):
    trained = small_config(tmp_path, tmp_path)
    trained.MODEL.HEADS.NUM_CLASSES = 42
    trained.MODEL.BACKBONE.CAMERAS = [2, 11]
    torch.save({"model": {}, "config": trained.dump()}, tmp_path / "model.pth")
    cfg = small_config(tmp_path, tmp_path)
    adopt_checkpoint_facts(cfg, read_checkpoint(tmp_path / "model.pth"))
    assert (cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.BACKBONE.CAMERAS) == (42, [2, 11])
