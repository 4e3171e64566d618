"""Which model made an embedding: one number for the weights and the settings that it depends on."""

import hashlib
import json
from pathlib import PurePath
from typing import Any

import torch
import yaml
from torch import nn

# Keys of MODEL and its nodes that may differ between two configurations whose embeddings are the same.
_BACKBONE_IRRELEVANT = (
    *("PRETRAIN", "PRETRAIN_PATH", "CLIP_TAG", "CAMERAS"),
    *("UNSEEN_CAMERA", "FREEZE_PATCH", "GRAD_CHECKPOINTING"),
)
_RELEVANT = ("META_ARCHITECTURE", "FRAME_BASELINE", "PIXEL_MEAN", "PIXEL_STD")


def fingerprint(weights: str, cfg: Any) -> str:
    """SHA-256 over the weights and the settings that an embedding depends on.

    The precision of autocast is not one of them: embeddings in bfloat16 and float32 may be compared.

    Args:
        weights: their hash, from :func:`weights_hash`.
        cfg: the configuration that the model was built from.

    Returns:
        64 hexadecimal digits.
    """
    model = yaml.safe_load(cfg.MODEL.dump())
    backbone = {key: value for key, value in model["BACKBONE"].items() if key not in _BACKBONE_IRRELEVANT}
    # The file that describes a tower's shape may lie anywhere.
    backbone["CLIP_MODEL"] = PurePath(backbone["CLIP_MODEL"]).name
    facts = {
        **{key: model[key] for key in _RELEVANT},
        "BACKBONE": backbone,
        "HEADS": {key: value for key, value in model["HEADS"].items() if key != "NUM_CLASSES"},
        "MII": {key: model["MII"][key] for key in ("HEADS", "FUSION", "SII", "LII")},
        "size": list(cfg.INPUT.SIZE_TEST),
        "frames_per_clip": cfg.INPUT.CLIP.FRAMES,
        "frames": cfg.TEST.FRAMES,
        "flip": cfg.TEST.FLIP.ENABLED,
    }
    return hashlib.sha256(json.dumps([facts, weights], sort_keys=True).encode()).hexdigest()


def weights_hash(model: nn.Module, leave_out: tuple[str, ...]) -> str:
    """SHA-256 over the weights that an embedding depends on.

    Args:
        model: not wrapped.
        leave_out: prefixes of the names of weights that only training uses; classifiers are left out too.

    Returns:
        64 hexadecimal digits, the same on every device, whatever else a checkpoint holds.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.startswith(leave_out) or "classifier" in name or name.endswith("num_batches_tracked"):
            continue
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
