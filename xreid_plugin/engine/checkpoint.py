"""One checkpoint, read once, and loaded into a model that is to be evaluated."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastreid.utils.checkpoint import _IncompatibleKeys
from torch import nn

from xreid_plugin.engine.run_checkpoints import load_whole_checkpoint
from xreid_plugin.host import Checkpointer

# What training alone uses: a checkpoint may lack it, and so may a model.
TRAINING_ONLY = ("mii.cii.", "heads.interactions.cii.", "prototypes.")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint to evaluate, read once for all who want something of it: configuration, cameras, weights.

    Attributes:
        path: of the file.
        content: the weights under "model", and what was saved with them.
    """

    path: Path
    content: dict[str, Any]

    @property
    def weights(self) -> dict[str, Any]:
        """Tensors by name."""
        found: dict[str, Any] = self.content["model"]
        return found


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and checks a file; its tensors stay there until they are used.

    Raises:
        OSError, WeightFileError: see :func:`~xreid_plugin.engine.run_checkpoints.load_whole_checkpoint`.
    """
    return Checkpoint(path, load_whole_checkpoint(path, mapped=True))


class EvaluationCheckpointer(Checkpointer):
    """The host's ranks with whatever weights it could not load; this one refuses. It reads no file."""

    def __init__(self, model: nn.Module, checkpoint: Checkpoint) -> None:
        """
        Args:
            model: to fill.
            checkpoint: that is loaded.
        """
        super().__init__(model)
        self._content = checkpoint.content

    def _load_file(self, f: str) -> Any:
        # The host takes out of both what it has loaded.
        return {**self._content, "model": copy.copy(self._content["model"])}

    def _log_incompatible_keys(self, incompatible: _IncompatibleKeys) -> None:
        missing = [key for key in incompatible.missing_keys if _matters(key)]
        shapes = [
            f"{key} is {stored} in the checkpoint and {wanted} in the model"
            for key, stored, wanted in incompatible.incorrect_shapes
            if _matters(key)
        ]
        if missing or shapes:
            raise ValueError(
                "The checkpoint is not of this configuration: "
                + "; ".join([*shapes[:3], *(f"{key} is not in it" for key in missing[:3])])
                + f" ({len(missing)} missing, {len(shapes)} of another shape). Evaluate it with the configuration that "
                "it was trained with; the run's folder has it as config.yaml."
            )


def _matters(key: str) -> bool:
    return not key.startswith(TRAINING_ONLY) and "classifier" not in key


def load_for_evaluation(model: nn.Module, checkpoint: Checkpoint) -> Any:
    """Loads a checkpoint's weights.

    Args:
        model: to fill; not wrapped.
        checkpoint: stays as it is.

    Returns:
        What else the checkpoint holds.

    Raises:
        ValueError: something that evaluation uses is missing or has another shape.
    """
    return EvaluationCheckpointer(model, checkpoint).load(str(checkpoint.path), checkpointables=[])
