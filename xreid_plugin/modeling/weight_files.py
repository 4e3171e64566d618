"""Reading a file of weights, whatever its format, without ever running code from it.

OpenAI publishes CLIP as programs saved by ``torch.jit.save``, which ``torch.load(weights_only=True)`` refuses. Such an
archive is a zip: ``NAME/code/`` holds the program, ``NAME/data.pkl`` the modules' attributes, ``NAME/data/N`` the bytes
of each tensor. Only the last two are read here, and the pickle by an unpickler that can build containers and tensors
and call nothing else; the program is never looked at.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from xreid_plugin.torch_files import load_torch_file

# Where checkpoints keep their tensors: open_clip's under the first name, the host's under the second.
_WRAPPERS = ("state_dict", "model")


class WeightFile(NamedTuple):
    """The tensors of one file.

    Attributes:
        tensors: name to tensor, on the CPU, in the dtype of the file.
        torchscript: whether it is a TorchScript archive, the form in which OpenAI publishes CLIP.
    """

    tensors: dict[str, Tensor]
    torchscript: bool


def read_weight_file(path: Path) -> WeightFile:
    """Read safetensors, a TorchScript archive, or whatever ``torch.save`` wrote that holds a dict of tensors.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds no dict of tensors, or would run code when loaded.
    """
    if not path.is_file():
        raise FileNotFoundError(f"MODEL.BACKBONE.PRETRAIN_PATH: there is no file {path}")
    torchscript = is_torchscript_archive(path)
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}.") from error
    elif torchscript:
        tensors = read_torchscript_tensors(path)
    else:
        tensors = _tensors_of(load_torch_file(path))
    if not tensors:
        raise ValueError(f"{path} holds no dict of tensors")
    return WeightFile(tensors, torchscript)


def _tensors_of(content: Any) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _ScriptObject:
    """Stands in for every class of the archive's program: it keeps the attributes and has no behaviour."""

    attributes: Any = None

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


def _rebuild_tensor(flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    # as_strided checks its bounds, so a forged shape cannot reach outside the entry.
    return flat.as_strided(size, stride, offset)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch.jit._pickle", "build_intlist"): list,
    ("torch.jit._pickle", "build_doublelist"): list,
    ("torch.jit._pickle", "build_boollist"): list,
    ("torch.jit._pickle", "build_tensorlist"): list,
}


class _TensorUnpickler(pickle.Unpickler):
    """Resolves the few globals that an archive needs to its own inert functions, and refuses all others."""

    def __init__(self, file: IO[bytes], read_entry: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read_entry = read_entry

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _ScriptObject
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise pickle.UnpicklingError(f"it calls for {module}.{name}, which no archive of weights needs")

    def persistent_load(self, pid: Any) -> Tensor:
        """One entry of ``data/`` as a flat tensor on the CPU, whatever device (fourth) it was saved from."""
        _kind, dtype, entry, _device, _numel = pid
        content = self._read_entry(f"data/{entry}")
        # torch.frombuffer takes no empty buffer, and warns on one that cannot be written to.
        return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def is_torchscript_archive(path: Path) -> bool:
    """Whether a file was written by ``torch.jit.save``: torch itself goes by the entry ``constants.pkl``."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors that the saved module and its children hold.

    Returns:
        Dotted attribute name to tensor, as in the module's ``state_dict``; on the CPU, in the dtype of the file. A
        tensor that is neither parameter nor buffer looks the same in the file and is there as well.

    Raises:
        ValueError: the file is damaged, or its pickle needs more than tensors and containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
            with archive.open(f"{root}data.pkl") as file:
                module = _TensorUnpickler(file, lambda entry: archive.read(root + entry)).load()
        return dict(_named_tensors(module, ""))
    # What a malformed pickle or zip raises depends on the byte where reading fails.
    except Exception as error:
        raise ValueError(f"{path} is refused: it is no readable TorchScript archive of weights ({error!r})") from error


def _named_tensors(node: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield name, node
    elif isinstance(node, _ScriptObject) and isinstance(node.attributes, dict):
        for key, child in node.attributes.items():
            yield from _named_tensors(child, f"{name}.{key}" if name else str(key))
