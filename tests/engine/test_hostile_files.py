"""Files that would run code, through every door by which a run takes a file."""

from pathlib import Path

import pytest
import torch

from tests.hostile import hostile_yaml, write_hostile_checkpoint
from xreid_plugin.engine.checkpoints import read_checkpoint
from xreid_plugin.engine.restore import restore
from xreid_plugin.torch_files import WeightFileError


@pytest.fixture
def hostile(tmp_path):
    path = write_hostile_checkpoint(tmp_path / "hostile.pth", tmp_path / "mark")
    torch.load(path, weights_only=False)
    # The file is hostile indeed.
    (tmp_path / "mark").unlink()
    yield path
    assert not (tmp_path / "mark").exists()


def test_a_model_to_restore(hostile):
    with pytest.raises(WeightFileError, match=r"hostile\.pth.*state_dict"):
        restore(hostile, "cpu")


@pytest.mark.parametrize("config", [hostile_yaml("mark"), "- 1", 7])
def test_a_configuration_within_a_checkpoint(tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"weight": torch.ones(1)}, "config": config}, "model.pth")
    with pytest.raises(WeightFileError, match=r"model\.pth"):
        print(read_checkpoint(Path("model.pth")).config)
    assert not Path("mark").exists()
