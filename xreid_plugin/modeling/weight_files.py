"""Reading a file of weights, whatever its format, without ever running code from it."""

from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from xreid_plugin.modeling.torchscript_archive import is_torchscript_archive, read_torchscript_tensors
from xreid_plugin.torch_files import load_torch_file, refuse_odd_tensors, refuse_packed_archive

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
    file = _read(path)
    refuse_odd_tensors(path, file.tensors)
    return file


def _read(path: Path) -> WeightFile:
    if path.suffix == ".safetensors":
        return WeightFile(_read_safetensors(path), torchscript=False)
    refuse_packed_archive(path)
    if is_torchscript_archive(path):
        return WeightFile(read_torchscript_tensors(path), torchscript=True)
    return WeightFile(_read_torch(path), torchscript=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}. Copy or download it again.") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = load_torch_file(path)
    tensors = _tensors_of(content)
    if not tensors:
        raise ValueError(f"{path} holds no dict of tensors")
    return tensors


def _tensors_of(content: Any) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
