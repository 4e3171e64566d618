"""A trained model for inference, from its checkpoint and without its data."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastreid.config import CfgNode
from torch import nn

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.checkpoints import Checkpoint, load_for_evaluation, read_checkpoint
from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate
from xreid_plugin.host import build_model
from xreid_plugin.torch_files import WeightFileError


class RestoredModel(NamedTuple):
    """A model with its weights.

    Attributes:
        cfg: frozen; what it was built from.
        model: in eval mode; maps a batch to (B, F) embeddings.
        path: of the checkpoint.
    """

    cfg: CfgNode
    model: nn.Module
    path: Path

    @property
    def cameras(self) -> tuple[int, ...]:
        """Numbers of the cameras that have an embedding, ascending; empty where the model uses none."""
        numbers = getattr(getattr(self.model, "backbone", None), "camera_numbers", None)
        return () if numbers is None else tuple(numbers.tolist())


def restore(source: str | Path | CfgNode, device: str, settings: Sequence[str] = ()) -> RestoredModel:
    """Builds a model and loads its weights; the checkpoint is read once.

    Args:
        source: a checkpoint of a training run, which carries its configuration; or a configuration or the file of one
            (.yml, .yaml), whose MODEL.WEIGHTS, or else the last checkpoint in OUTPUT_DIR, is loaded.
        device: torch's name of it.
        settings: key, value, key, value: over what the source says.

    Raises:
        OSError: a file that is not there.
        ValueError: a checkpoint that is damaged, would run code, is not of this configuration or carries none; unknown
            keys, bad values.
    """
    cfg, checkpoint = _configuration(source)
    cfg.merge_from_list(list(settings))
    path = checkpoint_to_evaluate(cfg)
    if checkpoint is None or checkpoint.path != path:
        checkpoint = read_checkpoint(path)
    adopt_checkpoint_facts(cfg, checkpoint)
    cfg.merge_from_list(["MODEL.DEVICE", device, "MODEL.WEIGHTS", str(path), "MODEL.BACKBONE.PRETRAIN", False])
    # What evaluation would take from the data, which is not needed here. Classifiers are built and not used.
    cfg.MODEL.BACKBONE.UNSEEN_CAMERA = "none"
    cfg.MODEL.HEADS.NUM_CLASSES = max(1, cfg.MODEL.HEADS.NUM_CLASSES)
    if device == "cpu" and cfg.SOLVER.AMP.DTYPE == "float16":
        # The CPU's kernels lack float16.
        cfg.SOLVER.AMP.ENABLED = False
    cfg.freeze()
    model = build_model(cfg).eval()
    load_for_evaluation(model, checkpoint)
    return RestoredModel(cfg, model, path)


def _configuration(source: str | Path | CfgNode) -> tuple[CfgNode, Checkpoint | None]:
    if isinstance(source, CfgNode):
        cfg = source.clone()
        cfg.defrost()
        return cfg, None
    cfg, path = get_cfg(), Path(source)
    if path.suffix in (".yml", ".yaml"):
        cfg.merge_from_file(str(path))
        return cfg, None
    checkpoint = read_checkpoint(path)
    try:
        cfg.merge_from_other_cfg(checkpoint.config)
    except (KeyError, ValueError) as error:
        raise WeightFileError(
            f"{path}: its configuration does not fit: {error} If a module of yours adds keys, import it before this."
        ) from error
    cfg.MODEL.WEIGHTS = str(path)
    return cfg, checkpoint
