"""A checkpoint as a training run saves it, without the training."""

import torch

from tests.data.small_set import small_config
from xreid_plugin.engine.setup import complete_config
from xreid_plugin.host import Checkpointer, build_model


def write_checkpoint(small_set, output, *overrides, seed=0):
    """Its path and its configuration; the model has random weights of its own for every seed."""
    cfg = small_config(small_set, output, "MODEL.BACKBONE.CLIP_MODEL", "xreid-tiny", "MODEL.DEVICE", "cpu", *overrides)
    complete_config(cfg)
    torch.manual_seed(seed)
    model = build_model(cfg)
    with torch.no_grad():
        # Fresh camera embeddings are too small to tell whether one was used.
        model.backbone.camera_embedding.normal_()
    Checkpointer(model, str(output)).save("model_final", config=cfg.dump())
    return output / "model_final.pth", cfg
