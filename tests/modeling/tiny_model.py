"""X-ReID on a tower that is tiny, and batches for it."""

import torch

from xreid_plugin.config import get_cfg
from xreid_plugin.host import build_model

PARTS = ("CPC", "SII", "LII", "CII")
NEEDED_BY = {"CPC": "CPCL", "CII": "CMCL"}
D, E, N = 128, 64, 5


def make_cfg(off=(), **keys):
    """X-ReID on the tiny tower; ``off`` names parts to switch off, together with the losses that need them."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "XReID"
    cfg.MODEL.BACKBONE.NAME = "build_clip_vision_backbone"
    cfg.MODEL.BACKBONE.CLIP_MODEL = "xreid-tiny"
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.BACKBONE.CAMERAS = [3, 8]
    cfg.MODEL.HEADS.NAME = "XReIDHead"
    cfg.MODEL.HEADS.NUM_CLASSES = N
    cfg.MODEL.MII.HEADS = 4
    cfg.INPUT.SIZE_TRAIN = [32, 16]
    for part in off:
        (cfg.MODEL if part == "CPC" else cfg.MODEL.MII)[part].ENABLED = False
    lost = {NEEDED_BY[part] for part in off if part in NEEDED_BY}
    cfg.MODEL.LOSSES.NAME = [name for name in ("CPCL", "TripletLoss", "CrossEntropyLoss", "CMCL") if name not in lost]
    cfg.merge_from_list([item for pair in keys.items() for item in pair])
    return cfg


def make_model(off=(), seed=0, **keys):
    torch.manual_seed(seed)
    model = build_model(make_cfg(off, **keys))
    if model.prototypes is not None:
        for memory in (model.prototypes.infrared, model.prototypes.visible):
            memory.copy_(torch.nn.functional.normalize(torch.randn(memory.shape)))
    return model


def make_batch(frames=2, pairs=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    identities = torch.arange(pairs) // 2
    return {
        "images": torch.randint(256, (2 * pairs, frames, 3, 32, 16), dtype=torch.uint8, generator=generator),
        "targets": identities.repeat(2),
        "camids": torch.tensor([3, 8]).repeat(pairs),
        "modalities": torch.arange(2).repeat_interleave(pairs),
    }
