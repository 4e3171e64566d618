"""Reading what ``torch.save`` wrote, without running code from it.

Imports nothing else of this package, so that the host, once fixed, can read its checkpoints here too.
"""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# The host's file beside checkpoints, which names the newest.
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
    try:
        with warnings.catch_warnings():
            # Torch warns about oddities in a file before it fails on them.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except pickle.UnpicklingError as error:
        raise WeightFileError(
            f"{path} is refused: it is damaged, or holds more than tensors and plain containers, and loading it could "
            "run code. Where it comes from, save its state_dict alone (torch.save(model.state_dict(), FILE)), or use "
            "safetensors."
        ) from error
    # What torch.load raises on a file of another kind depends on the byte where reading fails.
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise WeightFileError(f"{path} is not a readable file of weights: {reason}") from error


def load_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """A checkpoint of the host: its weights under "model", and what else was saved with them.

    Raises:
        OSError, WeightFileError: see :func:`load_torch_file`; or there are no weights under "model".
    """
    content = load_torch_file(path, mapped)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(value, Tensor) for value in model.values()):
        raise WeightFileError(
            f"{path} is not a fast-reid checkpoint: it has no weights under 'model'. A file of CLIP's weights belongs "
            "in MODEL.BACKBONE.PRETRAIN_PATH."
        )
    return content
