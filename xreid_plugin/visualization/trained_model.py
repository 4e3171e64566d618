"""The X-ReID model of a run, to look into."""

from pathlib import Path
from typing import Any, NamedTuple

from xreid_plugin.engine.checkpoint import load_for_evaluation
from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate, complete_config
from xreid_plugin.host import build_model
from xreid_plugin.modeling.xreid import XReID
from xreid_plugin.torch_files import load_checkpoint


class TrainedModel(NamedTuple):
    """A model with its weights.

    Attributes:
        model: in eval mode.
        has_cii: the checkpoint holds CII's weights too, which evaluation does not need.
    """

    model: XReID
    has_cii: bool


def load_trained_model(cfg: Any) -> TrainedModel:
    """Loads MODEL.WEIGHTS, or else the last checkpoint in OUTPUT_DIR.

    Args:
        cfg: not frozen; what only the checkpoint and the data tell is filled in.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: another architecture, or a checkpoint of another configuration.
    """
    if cfg.MODEL.META_ARCHITECTURE != "XReID":
        raise ValueError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}: SII, LII and CII are parts of XReID alone."
        )
    weights: Path = checkpoint_to_evaluate(cfg)
    cfg.MODEL.BACKBONE.PRETRAIN = False
    adopt_checkpoint_facts(cfg, weights)
    complete_config(cfg)
    model = build_model(cfg)
    assert isinstance(model, XReID)
    load_for_evaluation(model, str(weights))
    has_cii = any(name.startswith("mii.cii.") for name in load_checkpoint(weights)["model"])
    return TrainedModel(model.eval(), has_cii)
