import pickle
import zipfile

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from xreid_plugin.modeling.torchscript_archive import is_torchscript_archive, read_torchscript_tensors

# Such archives are what OpenAI published, so they have to be made here for as long as torch can make them.
deprecated_jit = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


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


def craft_archive(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", payload)
        archive.writestr("model/constants.pkl", b"")


@deprecated_jit
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_are_those_of_the_state_dict(tmp_path, dtype):
    module = Outer().to(dtype)
    torch.jit.save(torch.jit.script(module), tmp_path / "model.pt")
    assert is_torchscript_archive(tmp_path / "model.pt")
    tensors = read_torchscript_tensors(tmp_path / "model.pt")
    assert tensors.keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert_close(tensors[name], value, rtol=0, atol=0)


@deprecated_jit
def test_traced_modules_are_read_as_well(tmp_path):
    module = Inner()
    torch.jit.save(torch.jit.trace(module, torch.randn(1, 3, 4, 4)), tmp_path / "model.pt")
    assert_close(read_torchscript_tensors(tmp_path / "model.pt"), dict(module.state_dict()))


@deprecated_jit
def test_the_program_is_never_read(tmp_path):
    torch.jit.save(torch.jit.script(Outer()), tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt") as source, zipfile.ZipFile(tmp_path / "no_code.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, b"not a program" if "/code/" in name else source.read(name))
    assert read_torchscript_tensors(tmp_path / "no_code.pt").keys() == Outer().state_dict().keys()


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_archive_that_would_run_code_is_refused_and_does_not(tmp_path):
    payload = pickle.dumps(Hostile(tmp_path / "mark"), protocol=2)
    pickle.loads(payload).close()
    assert (tmp_path / "mark").exists(), "the payload must be one that works"
    (tmp_path / "mark").unlink()
    craft_archive(tmp_path / "hostile.pt", payload)
    with pytest.raises(ValueError, match=r"hostile\.pt is refused.*open"):
        read_torchscript_tensors(tmp_path / "hostile.pt")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "call",
    [b"cbuiltins\neval\n", b"ctorch\nload\n", b"ctorch.jit\nload\n", b"cos\nsystem\n", b"ctorch._utils\n_rebuild\n"],
)
def test_no_other_function_can_be_named(tmp_path, call):
    craft_archive(tmp_path / "hostile.pt", b"\x80\x02" + call + b".")
    with pytest.raises(ValueError, match="refused"):
        read_torchscript_tensors(tmp_path / "hostile.pt")


def test_forged_shape_cannot_reach_outside_its_storage(tmp_path):
    pid = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\x00(K\x64t(K\x01t\x89ccollections\nOrderedDict\n)RtR"
    with zipfile.ZipFile(tmp_path / "forged.pt", "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02" + tensor + b".")
        archive.writestr("model/data/0", b"\x00" * 4)
    with pytest.raises(ValueError, match="out of bounds"):
        read_torchscript_tensors(tmp_path / "forged.pt")


@pytest.mark.parametrize("payload", [b"", b"\x80\x02", b"\x80\x02}", b"words"])
def test_damaged_pickle_is_a_clear_error(tmp_path, payload):
    craft_archive(tmp_path / "damaged.pt", payload)
    with pytest.raises(ValueError, match=r"damaged\.pt"):
        read_torchscript_tensors(tmp_path / "damaged.pt")


def test_other_files_are_no_archives(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "plain.pt")
    (tmp_path / "words.pt").write_text("words")
    assert not is_torchscript_archive(tmp_path / "plain.pt")
    assert not is_torchscript_archive(tmp_path / "words.pt")
