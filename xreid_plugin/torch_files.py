"""Reading what ``torch.save`` wrote, without running code from it.

Imports nothing else of this package, so that the host, once fixed, can read its checkpoints here too.
"""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NOTE = "last_checkpoint"


class WeightFileError(ValueError):
    """A checkpoint or file of weights that is refused or cannot be read; the message is one line with the remedy."""


def load_torch_file(path: Path, mapped: bool = False) -> Any:
    """Tensors and plain containers from a file of ``torch.save``, on the CPU.

    Args:
        path: the file.
        mapped: leave tensors on disk until they are used, where the file allows it. It must not be overwritten in the
            meantime; replacing it does no harm.

    Raises:
        OSError: it is not there or cannot be opened.
        WeightFileError: it is damaged, of another kind, or would run code when loaded.
    """
    refuse_packed_archive(path)
    try:
        with warnings.catch_warnings():
            # Torch warns about oddities in a file before it fails on them.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightFileError(
            f"{path} is refused: it is damaged, or holds more than tensors and plain containers, and loading it could "
            "run code. Where it comes from, save its state_dict alone (torch.save(model.state_dict(), FILE)), or use "
            "safetensors."
        ) from error
    # What torch.load raises on a file of another kind depends on the byte where reading fails.
    except Exception as error:
        raise WeightFileError(f"{path} is not a readable file of weights: {_first_line(error)}") from error


def load_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """A checkpoint of the host: its weights under "model", and what else was saved with them.

    Args:
        path: the file.
        mapped: see :func:`load_torch_file`.

    Raises:
        OSError: see :func:`load_torch_file`.
        WeightFileError: see :func:`load_torch_file`, or there are no weights under "model".
    """
    content = load_torch_file(path, mapped)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(name, str) for name in model):
        raise WeightFileError(
            f"{path} is not a fast-reid checkpoint: it has no weights under 'model'. A file of CLIP's weights belongs "
            "in MODEL.BACKBONE.PRETRAIN_PATH."
        )
    refuse_odd_tensors(path, model)
    return content


def noted_checkpoint(folder: Path) -> Path:
    """The file beside it that ``last_checkpoint`` names.

    Raises:
        OSError: the note cannot be read.
        WeightFileError: it names no file of the folder.
    """
    note = folder / NOTE
    try:
        name = note.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        name = ""
    if name in ("", "..") or name != Path(name).name or not name.isprintable():
        raise WeightFileError(f"{note} names no file of its folder; write the newest checkpoint's name into it.")
    return folder / name


def refuse_odd_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Refuses what is not a dense tensor, and tensors that repeat a few numbers until they fill any memory.

    Raises:
        WeightFileError: names the first of them.
    """
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise WeightFileError(f"{path}: '{name}' is no dense tensor; save the model's state_dict again.")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightFileError(
                f"{path} is refused: '{name}' of shape {list(value.shape)} has more numbers than the file holds."
            )


def refuse_packed_archive(path: Path) -> None:
    """Refuses a zip with compressed entries, which could unpack to any size; torch stores tensors uncompressed.

    Only the code of a TorchScript archive, which is never read, is compressed.

    Raises:
        OSError: the file cannot be opened.
        WeightFileError: a tensor in it is compressed.
    """
    with path.open("rb") as file:
        try:
            if not zipfile.is_zipfile(file):
                return
            with zipfile.ZipFile(file) as archive:
                packed = [
                    entry.filename
                    for entry in archive.infolist()
                    if entry.compress_type != zipfile.ZIP_STORED and "/code/" not in entry.filename
                ]
        # What zipfile raises depends on the byte that is wrong.
        except Exception as error:
            raise WeightFileError(f"{path} is not a readable file of weights: {_first_line(error)}") from error
    if packed:
        raise WeightFileError(f"{path} is refused: {packed[0]} in it is compressed; save it again with torch.save.")


def refuse_damage(path: Path) -> None:
    """Refuses an archive whose bytes disagree with its checksums, which torch does not look at.

    Raises:
        OSError: the file cannot be opened.
        WeightFileError: it is damaged; names the part.
    """
    with path.open("rb") as file:
        try:
            # Checksums are of the unpacked content.
            refuse_packed_archive(path)
            if not zipfile.is_zipfile(file):
                # Cut off, or written by torch before 1.6, which had no checksums: reading it will show.
                return
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
        except WeightFileError:
            raise
        # What zipfile raises depends on the byte that is wrong.
        except Exception as error:
            raise WeightFileError(f"{path} is damaged: {error}.") from error
    if damaged is not None:
        raise WeightFileError(f"{path} is damaged: the checksum of its part {damaged} is wrong.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]
