"""Weights that the authors' public X-ReID code has trained, under the names that this plugin's model has.

The public code saves its model's state_dict alone, as ``best_model.pth.tar``. Its evaluation concatenates the class
token's mean behind ``bn_feat_temp``, the projected mean behind ``bn_proj_temp`` and the mean of ``TSM_space`` behind
``bn_TSM_tp0``: the embedding of ``projects/XReID/configs/vcm_public_code.yml``. Only facts are taken from it: names,
shapes, and what is done in which order.

What differs still: its temporal shift writes into what it reads, so that a frame may get channels of a frame further
away than its neighbour; here the shift is right, and these weights see other patches than they were trained on. Its
memories are no part of the file, so CPC starts without prototypes. In its file the class token has 768 channels, the
projected one 512, and cameras are counted from 1 without a gap.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# The two blocks of its SII.
_BLOCKS = {"TSM_space.Reconstuct_shift.Rotation.": 0, "TSM_space.Reconstuct_shift2.Rotation.": 1}
_IN_BLOCK = {
    "norm1.": "query_norm.",
    "attn.normy.": "context_norm.",
    "attn.q_.": "attention.to_query.",
    "attn.k_.": "attention.to_key.",
    "attn.v_.": "attention.to_value.",
    "attn.proj.": "attention.to_out.",
    "norm2.": "mlp_norm.",
    "mlp.fc1.": "mlp.0.",
    "mlp.fc2.": "mlp.2.",
}
# Beginnings of names, theirs to ours.
_RENAMED = {
    "image_encoder.": "backbone.visual.",
    "cv_embed": "backbone.camera_embedding",
    "classifier_clip_temp.": "heads.tower.classifier.",
    "classifier_clip_frame.": "heads.tower.frame_classifier.",
    "bn_TSM_tp0.": "heads.interactions.mii.neck.",
    "bn_TSM_frame0.": "heads.interactions.mii.frame_neck.",
    # It classifies single frames by the same one.
    "classifier_TSM_tp0.": "heads.interactions.mii.classifier.",
    **{
        f"{block}{theirs}": f"mii.sii.blocks.{index}.{ours}"
        for block, index in _BLOCKS.items()
        for theirs, ours in _IN_BLOCK.items()
    },
}
# One neck of ours, [c̄ ; p̄], is two of theirs: a batch norm works on each channel by itself.
_JOINED = {
    "heads.tower.neck.": ("bn_feat_temp.", "bn_proj_temp."),
    "heads.tower.frame_neck.": ("bn_feat_frame.", "bn_proj_frame."),
}
_LANDMARKS = ("cv_embed", "bn_feat_temp.weight")


def is_public_state(content: Any) -> bool:
    """Whether what a file holds is a state_dict of the public code's model."""
    return isinstance(content, Mapping) and {*_LANDMARKS} <= {str(name).removeprefix("module.") for name in content}


def from_public_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by this plugin's names; the tensors are the given ones, but for the joined necks.

    Args:
        state: the public code's state_dict, with or without the "module." of a parallel model.

    Raises:
        KeyError: a neck is missing.
    """
    theirs = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    ours = {
        new + name.removeprefix(old): tensor
        for old, new in _RENAMED.items()
        for name, tensor in theirs.items()
        if name.startswith(old)
    }
    for neck, (class_neck, projected_neck) in _JOINED.items():
        for name in ("weight", "bias", "running_mean", "running_var"):
            ours[neck + name] = torch.cat([theirs[class_neck + name], theirs[projected_neck + name]])
        ours[f"{neck}num_batches_tracked"] = theirs[f"{class_neck}num_batches_tracked"]
    # Its camera number i - 1 is the row: the dataset's cameras are 1, 2, ...
    ours["backbone.camera_numbers"] = torch.arange(1, len(theirs["cv_embed"]) + 1)
    return ours
