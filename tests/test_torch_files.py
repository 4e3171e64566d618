import pytest
import torch

from tests.hostile import Hostile
from xreid_plugin.torch_files import WeightFileError, load_checkpoint, load_torch_file

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_is_read_and_a_hostile_one_is_refused_in_one_line(tmp_path, zipped, mapped):
    torch.save({"model": WEIGHTS, "epoch": 3}, tmp_path / "good.pth", _use_new_zipfile_serialization=zipped)
    content = load_checkpoint(tmp_path / "good.pth", mapped)
    assert content["epoch"] == 3
    assert torch.equal(content["model"]["layer.weight"], WEIGHTS["layer.weight"])
    bad = {"model": WEIGHTS, "extra": Hostile(tmp_path / "mark")}
    torch.save(bad, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightFileError, match=r"bad\.pth is refused"):
        load_torch_file(tmp_path / "bad.pth", mapped)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [[1], {"state_dict": WEIGHTS}, {"model": {"a": 3}}])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightFileError, match=r"other\.pth"):
        load_checkpoint(tmp_path / "other.pth")
