"""Files of weights in every format: their tensors, or one error that names the file; no code of theirs runs."""

import pickle
import zipfile

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.testing import assert_close

from tests.hostile import Hostile
from xreid_plugin.modeling.weight_files import read_torchscript_tensors, read_weight_file

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
# OpenAI published such archives, so they have to be made here for as long as torch can make them.
deprecated_jit = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": TENSORS, "epoch": 3, "name": "clip"},
        {"model": TENSORS, "optimizer": {"state": {}}, "iteration": 10},
        TENSORS | {"note": "not a tensor"},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_dicts_of_torch_save(tmp_path, content, zipped):
    torch.save(content, tmp_path / "weights.pt", _use_new_zipfile_serialization=zipped)
    file = read_weight_file(tmp_path / "weights.pt")
    assert_close(file.tensors, TENSORS)
    assert not file.torchscript


def test_safetensors_whole_and_cut_off(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(TENSORS, path)
    assert_close(read_weight_file(path).tensors, TENSORS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"weights\.safetensors"):
        read_weight_file(path)


@pytest.mark.parametrize("name", ["words.pt", "words.safetensors"])
@pytest.mark.parametrize("content", [b"", b"these are words, not weights", b"PK\x03\x04 but no zip"])
def test_file_of_another_kind(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        read_weight_file(tmp_path / name)


def test_file_without_tensors_and_file_that_is_not_there(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "empty.pt")
    with pytest.raises(ValueError, match=r"empty\.pt"):
        read_weight_file(tmp_path / "empty.pt")
    with pytest.raises(FileNotFoundError, match=r"MODEL\.BACKBONE\.PRETRAIN_PATH.*absent\.pt"):
        read_weight_file(tmp_path / "absent.pt")


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2)
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.LayerNorm(3))
        self.register_buffer("empty", torch.empty(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = Inner()
        self.register_buffer("steps", torch.tensor(7))
        # A view: its storage is larger than it is, and not in row-major order.
        self.view = nn.Parameter(torch.arange(12.0).reshape(3, 4)[1:, :2].T)
        self.sizes, self.name, self.pair, self.ratio = [1, 2], "outer", (1, 2.5), 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual(x)


@deprecated_jit
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_tensors_of_an_archive_are_those_of_the_state_dict_and_its_program_is_not_read(tmp_path, dtype):
    module = Outer().to(dtype)
    torch.jit.save(torch.jit.script(module), tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt") as source, zipfile.ZipFile(tmp_path / "no_code.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, b"not a program" if "/code/" in name else source.read(name))
    for name in ("model.pt", "no_code.pt"):
        file = read_weight_file(tmp_path / name)
        assert file.torchscript
        assert_close(file.tensors, dict(module.state_dict()), rtol=0, atol=0)


def craft_archive(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", payload)
        archive.writestr("model/constants.pkl", b"")
    return path


@pytest.mark.parametrize("zipped", [True, False, "archive"])
def test_file_that_would_run_code_is_refused_and_does_not(tmp_path, zipped):
    path, hostile = tmp_path / "hostile.pt", Hostile(tmp_path / "mark")
    if zipped == "archive":
        payload = pickle.dumps(hostile, protocol=2)
        pickle.loads(payload)
        assert (tmp_path / "mark").exists(), "the payload must be one that works"
        (tmp_path / "mark").unlink()
        craft_archive(path, payload)
    else:
        torch.save({"a": torch.ones(1), "b": hostile}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"hostile\.pt is refused"):
        read_weight_file(path)
    assert not (tmp_path / "mark").exists()


FUNCTIONS = [b"builtins\neval", b"torch\nload", b"torch.jit\nload", b"os\nsystem", b"torch._utils\n_rebuild"]


@pytest.mark.parametrize(
    "payload", [*(b"\x80\x02c" + name + b"\n." for name in FUNCTIONS), b"", b"\x80\x02", b"\x80\x02}", b"words"]
)
def test_no_other_function_can_be_named_and_damage_is_a_clear_error(tmp_path, payload):
    with pytest.raises(ValueError, match=r"odd\.pt is refused"):
        read_torchscript_tensors(craft_archive(tmp_path / "odd.pt", payload))
