"""A trained model from its checkpoint, which is read once and checked once, whoever wants it."""

import argparse
import zipfile
from pathlib import Path

import pytest
import torch

from tests.checkpoints import write_checkpoint
from tests.data.small_set import SMALL
from xreid_plugin.engine.checkpoints import read_checkpoint
from xreid_plugin.engine.command_line import train_or_evaluate
from xreid_plugin.engine.restore import restore
from xreid_plugin.predictor import TrackletPredictor


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"))


@pytest.fixture
def reads(monkeypatch):
    """What reads a file's tensors or checks its sums, as it happens: the real functions, each with its file's name."""
    found = []
    load, check = torch.load, zipfile.ZipFile.testzip

    def noted_load(file, *args, **kwargs):
        found.append(("read", Path(file).name))
        return load(file, *args, **kwargs)

    def noted_check(archive):
        found.append(("checked", Path(archive.filename).name))
        return check(archive)

    monkeypatch.setattr(torch, "load", noted_load)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", noted_check)
    return found


ONCE = [("checked", "model_final.pth"), ("read", "model_final.pth")]


def test_evaluation_reads_its_checkpoint_once(trained, small_set, tmp_path, reads):
    opts = [*SMALL, "MODEL.WEIGHTS", str(trained[0]), "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path)]
    config = "projects/XReID/configs/synthetic.yml"
    overrides = [*opts, "MODEL.BACKBONE.CLIP_MODEL", "xreid-tiny", "MODEL.DEVICE", "cpu"]
    train_or_evaluate(
        argparse.Namespace(config_file=config, opts=overrides, eval_only=True, resume=False, debug=True, imports=[])
    )
    assert list(tmp_path.glob("results_*.json"))
    assert reads == ONCE


@pytest.mark.parametrize("by_config", [False, True])
def test_a_predictor_reads_its_checkpoint_once(trained, reads, by_config):
    path, cfg = trained
    if by_config:
        cfg = cfg.clone()
        # What only the checkpoint tells.
        cfg.MODEL.WEIGHTS, cfg.MODEL.BACKBONE.CAMERAS, cfg.MODEL.HEADS.NUM_CLASSES = str(path), [], 0
    assert TrackletPredictor(cfg if by_config else path, "cpu").cameras
    assert reads == ONCE


def test_settings_go_over_what_the_file_says_also_its_weights(trained, small_set, tmp_path):
    other, _ = write_checkpoint(small_set, tmp_path, seed=1)
    restored = restore(trained[0], "cpu", ["MODEL.WEIGHTS", str(other), "TEST.FRAMES", "dense"])
    assert (restored.path, restored.cfg.TEST.FRAMES) == (other, "dense")
    held = torch.load(other, weights_only=True)["model"]["backbone.visual.proj"]
    assert torch.equal(restored.model.state_dict()["backbone.visual.proj"], held)


def test_a_model_keeps_nothing_of_the_file_and_leaves_what_was_read_as_it_was(trained, tmp_path):
    path = tmp_path / "model_final.pth"
    path.write_bytes(trained[0].read_bytes())
    checkpoint = read_checkpoint(path)
    names = list(checkpoint.weights)
    model = restore(path, "cpu").model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert list(checkpoint.weights) == names
