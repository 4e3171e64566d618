"""Any image model of the host, on clips: what X-ReID is compared with.

Shapes: B clips, T frames, C channels of a pooled frame feature.
"""

from typing import Any

import torch
from fastreid.modeling.heads import EmbeddingHead
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from torch import nn

from xreid_plugin.data.tracklet import IMAGES, LENGTHS, TARGETS
from xreid_plugin.modeling.gather import gather_rows, gather_with_gradient


class ClipPool(nn.Module):
    """Pools each frame as the host does, then averages a clip's frames; in training, for the clips of all ranks."""

    def __init__(self, frame_pool: nn.Module, num_frames: int) -> None:
        """
        Args:
            frame_pool: the host's pooling, (B·T, C, h, w) to (B·T, C, 1, 1).
            num_frames: T.
        """
        super().__init__()
        self.frame_pool = frame_pool
        self.num_frames = num_frames

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(b·T, C, h, w), the frames of a clip one after another, to (B, C, 1, 1); b clips of this rank, B of all."""
        pooled = self.frame_pool(maps).unflatten(0, (-1, self.num_frames)).mean(1)
        return gather_with_gradient(pooled) if self.training else pooled


@META_ARCH_REGISTRY.register()
class FrameBaseline(nn.Module):
    """A host model whose heads see the average of a clip's pooled frame features.

    Backbone, heads, losses and normalisation are the host's own; its embedding heads pool once more, over frames.

    With several processes, heads and losses are given the clips of all, as X-ReID's are. A backbone's batch norms use
    the statistics of a rank's own clips, as in the host, unless MODEL.BACKBONE.NORM is its "syncBN", for CUDA only.
    """

    def __init__(self, cfg: Any) -> None:
        """
        Args:
            cfg: MODEL.FRAME_BASELINE.META_ARCHITECTURE names the host's model, which reads the rest; it must have the
                host's embedding heads, as Baseline and MGN have.
        """
        super().__init__()
        self.image_model = META_ARCH_REGISTRY.get(cfg.MODEL.FRAME_BASELINE.META_ARCHITECTURE)(cfg)
        for head in self.image_model.modules():
            if isinstance(head, EmbeddingHead):
                head.pool_layer = ClipPool(head.pool_layer, cfg.INPUT.CLIP.FRAMES)

    @property
    def device(self) -> torch.device:
        """Where the model is; the host's name for it."""
        device: torch.device = self.image_model.device
        return device

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | torch.Tensor:
        """
        Args:
            batch: images (B, T, 3, H, W) uint8, RGB; in training also targets (B,) int64.

        Returns:
            The host's losses in training; (B, F) embeddings in evaluation.
        """
        # The host normalises in place, so this must be a copy.
        frames = batch[IMAGES].to(self.device, self.image_model.pixel_mean.dtype, copy=True).flatten(0, 1)
        on_device = {key: value.to(self.device) for key, value in batch.items() if key not in (IMAGES, LENGTHS)}
        if self.training:
            on_device[TARGETS] = gather_rows(on_device[TARGETS])
        outputs: dict[str, torch.Tensor] | torch.Tensor = self.image_model({**on_device, IMAGES: frames})
        return outputs
