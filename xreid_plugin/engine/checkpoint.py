"""Loading a trained model to be evaluated: whole, or not at all."""

from typing import Any

from fastreid.utils.checkpoint import _IncompatibleKeys
from torch import nn

from xreid_plugin.host import Checkpointer

# What training alone uses: a checkpoint may lack it, and so may a model.
TRAINING_ONLY = ("mii.cii.", "heads.interactions.cii.", "prototypes.")


class EvaluationCheckpointer(Checkpointer):
    """The host's ranks with whatever weights it could not load; this one refuses."""

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


def load_for_evaluation(model: nn.Module, path: str) -> Any:
    """Loads a checkpoint's weights.

    Args:
        model: to fill; not wrapped.
        path: of the checkpoint.

    Returns:
        What else the checkpoint holds.

    Raises:
        ValueError: something that evaluation uses is missing or has another shape.
    """
    return EvaluationCheckpointer(model).load(path, checkpointables=[])
