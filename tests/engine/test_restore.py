"""A trained model from its checkpoint, which is read once and checked once, whoever wants it."""

import pytest
import torch

from tests.checkpoints import write_checkpoint
from xreid_plugin.engine.checkpoints import read_checkpoint
from xreid_plugin.engine.restore import restore


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"))


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
