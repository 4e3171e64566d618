"""The X-ReID model of a run, for looking into."""

from typing import Any, NamedTuple

from xreid_plugin.engine.checkpoint import load_for_evaluation, read_checkpoint
from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate, complete_config
from xreid_plugin.host import build_model
from xreid_plugin.modeling.xreid import XReID


class TrainedModel(NamedTuple):
    """A model with its weights.

    Attributes:
        model: the model, in eval mode.
        has_cii: whether the checkpoint holds CII's weights too, which evaluation does not need.
    """

    model: XReID
    has_cii: bool


def load_trained_model(cfg: Any) -> TrainedModel:
    """Loads MODEL.WEIGHTS, or else the last checkpoint in OUTPUT_DIR.

    Args:
        cfg: the configuration, not frozen; what only the checkpoint and the data say is filled in.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: another architecture, or a checkpoint of another configuration.
    """
    if cfg.MODEL.META_ARCHITECTURE != "XReID":
        raise ValueError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}: SII, LII and CII are parts of XReID alone."
        )
    checkpoint = read_checkpoint(checkpoint_to_evaluate(cfg))
    cfg.MODEL.BACKBONE.PRETRAIN = False
    adopt_checkpoint_facts(cfg, checkpoint)
    complete_config(cfg)
    model = build_model(cfg)
    assert isinstance(model, XReID)
    load_for_evaluation(model, checkpoint)
    has_cii = any(name.startswith("mii.cii.") for name in checkpoint.weights)
    return TrainedModel(model.eval(), has_cii)
