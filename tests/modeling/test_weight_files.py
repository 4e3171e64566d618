import pytest
import safetensors.torch
import torch
from torch.testing import assert_close

from xreid_plugin.modeling.weight_files import read_weight_file

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3, "name": "clip"},
        {"model": TENSORS, "optimizer": {"state": {}}, "iteration": 10},
        {"model": {"state_dict": TENSORS}} | {"state_dict": {"model": TENSORS}},
        TENSORS | {"note": "not a tensor"},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_dicts_of_torch_save(tmp_path, content, zipped):
    torch.save(content, tmp_path / "weights.pt", _use_new_zipfile_serialization=zipped)
    file = read_weight_file(tmp_path / "weights.pt")
    assert_close(file.tensors, TENSORS)
    assert not file.torchscript


def test_safetensors(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "weights.safetensors")
    assert_close(read_weight_file(tmp_path / "weights.safetensors").tensors, TENSORS)


def test_absent_file_names_the_key(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"MODEL\.BACKBONE\.PRETRAIN_PATH.*absent\.pt"):
        read_weight_file(tmp_path / "absent.pt")


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_file_that_would_run_code_is_refused_and_does_not(tmp_path, zipped):
    content = {"a": torch.ones(1), "b": Hostile(tmp_path / "mark")}
    torch.save(content, tmp_path / "hostile.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"hostile\.pt is refused.*could run code"):
        read_weight_file(tmp_path / "hostile.pt")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["words.pt", "words.safetensors"])
@pytest.mark.parametrize("content", [b"", b"these are words, not weights", b"PK\x03\x04 but no zip"])
def test_file_of_another_kind(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        read_weight_file(tmp_path / name)


def test_file_without_tensors(tmp_path):
    for content in ({"a": 1}, [torch.ones(1)], torch.ones(1)):
        torch.save(content, tmp_path / "empty.pt")
        with pytest.raises(ValueError, match=r"empty\.pt holds no dict of tensors"):
            read_weight_file(tmp_path / "empty.pt")
