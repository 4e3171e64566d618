import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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


@settings(max_examples=60, deadline=None)
@given(
    mapped=st.booleans(),
    zipped=st.booleans(),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    kept=st.floats(0, 1),
)
def test_a_damaged_checkpoint_is_read_or_refused(tmp_path_factory, mapped, zipped, flips, kept):
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    torch.save({"model": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(content[: int(len(content) * min(1, 3 * kept))])
    found, message = {"model": {}}, str(path)
    try:
        found = load_checkpoint(path, mapped)
    except WeightFileError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    assert all(isinstance(value, torch.Tensor) for value in found["model"].values())
