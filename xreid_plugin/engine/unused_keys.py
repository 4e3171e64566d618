"""The host's keys that nothing reads here: one that is set would be believed to work.

Only parts that are known are spoken of: a backbone, a head, a loss or an architecture of the user's own may read any.
"""

from collections.abc import Iterator
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.config import get_cfg
from xreid_plugin.config_merge import leaves
from xreid_plugin.engine.config_contradictions import CLIP_BACKBONE
from xreid_plugin.engine.config_values import HOST_LOSSES, Fault

# A key, or a group of keys by its name.
_OF_CLIPS = (
    *("INPUT.CROP", "INPUT.PADDING.MODE", "INPUT.AFFINE", "INPUT.AUTOAUG", "INPUT.AUGMIX", "INPUT.RPT"),
    *("DATALOADER.SET_WEIGHT", "TEST.METRIC", "TEST.PRECISE_BN"),
)
# Of the host's Distiller and MoCo.
_OF_BOTH_MODELS = ("KD", "MODEL.QUEUE_SIZE")
_CONVOLUTIONS = tuple(f"MODEL.BACKBONE.{name}" for name in ("LAST_STRIDE", "NORM", "WITH_IBN", "WITH_SE", "WITH_NL"))
_TRANSFORMER = tuple(
    f"MODEL.BACKBONE.{name}" for name in ("STRIDE_SIZE", "DROP_PATH_RATIO", "DROP_RATIO", "ATT_DROP_RATE")
)
_OF_BACKBONES = {
    CLIP_BACKBONE: (*_CONVOLUTIONS, *_TRANSFORMER, "MODEL.BACKBONE.DEPTH", "MODEL.BACKBONE.FEAT_DIM"),
    "build_resnet_backbone": _TRANSFORMER,
    "build_vit_backbone": _CONVOLUTIONS,
}
_OF_HEADS = {
    "XReIDHead": tuple(
        f"MODEL.HEADS.{name}"
        for name in ("NORM", "EMBEDDING_DIM", "WITH_BNNECK", "NECK_FEAT", "POOL_LAYER", "CLS_LAYER", "MARGIN", "SCALE")
    )
}
_OTHER_LOSSES = tuple(
    f"MODEL.LOSSES.{name}"
    for name in ("CE.EPSILON", "CE.ALPHA", "CE.SCALE", "TRI.NORM_FEAT", "TRI.HARD_MINING", "FL", "CIRCLE", "COSFACE")
)
# By architecture: its own losses, and what none of them reads.
_OF_LOSSES = {
    "XReID": ({"CPCL", "CMCL", "TripletLoss", "CrossEntropyLoss"}, _OTHER_LOSSES),
    "FrameBaseline": ({*HOST_LOSSES}, ("MODEL.LOSSES.FL",)),
}


def unused_key_faults(cfg: CfgNode) -> Iterator[Fault]:
    """Keys that have another value than their default, and that what the configuration names does not read."""
    names = unused_keys(cfg)
    for key, default in leaves(get_cfg()):
        if not any(key == name or key.startswith(f"{name}.") for name in names):
            continue
        value = _at(cfg, key)
        if value != default:
            rule = f"{cfg.MODEL.META_ARCHITECTURE} on clips does not use it, so it must have its default"
            yield Fault(key, value, rule, default)


def unused_keys(cfg: CfgNode) -> list[str]:
    """Full dotted names of keys, and of groups of keys, that a run of this configuration does not read."""
    model = cfg.MODEL
    names = list(_OF_CLIPS)
    if model.META_ARCHITECTURE in _OF_LOSSES:
        losses, unread = _OF_LOSSES[model.META_ARCHITECTURE]
        names += _OF_BOTH_MODELS
        names += _OF_BACKBONES.get(model.BACKBONE.NAME, ())
        names += _OF_HEADS.get(model.HEADS.NAME, ())
        names += unread if losses.issuperset(model.LOSSES.NAME) else ()
    return names


def _at(cfg: Any, key: str) -> Any:
    for part in key.split("."):
        cfg = cfg[part]
    return cfg
