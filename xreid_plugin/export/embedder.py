"""What the exported file computes: from a clip as it was decoded, its embedding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xreid_plugin.data.tracklet import CAMIDS, IMAGES


class ClipEmbedder(nn.Module):
    """A model as evaluation runs it, in float32, from tensors to a tensor.

    Normalising the pixels is the model's own work, averaging with the mirrored clip is done here: nothing of it is left
    to the user of the file.
    """

    def __init__(self, model: nn.Module, flip: bool, raw: bool) -> None:
        """
        Args:
            model: a model that maps a batch to (B, F) embeddings in eval mode.
            flip: whether to average every clip with its mirror image (TEST.FLIP.ENABLED).
            raw: whether to leave the embeddings' lengths as they are.
        """
        super().__init__()
        self.model = model
        self.flip = flip
        self.raw = raw
        self.eval()

    def forward(self, images: Tensor, cameras: Tensor) -> Tensor:
        """
        Args:
            images: (B, T, 3, H, W) uint8, RGB.
            cameras: (B,) int64, the dataset's camera numbers; one that training has not seen adds no camera embedding.

        Returns:
            (B, F) float32; rows of length 1 unless ``raw``.
        """
        if self.flip:
            # In one pass, which makes a file of half as many operators.
            images, cameras = torch.cat([images, images.flip(-1)]), torch.cat([cameras, cameras])
        embeddings: Tensor = self.model({IMAGES: images, CAMIDS: cameras}).float()
        if self.flip:
            embeddings = embeddings.unflatten(0, (2, -1)).mean(0)
        return embeddings if self.raw else F.normalize(embeddings)


def random_clips(count: int, frames: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Clips of noise, (count, frames, 3, *size) uint8, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, frames, 3, *size), dtype=torch.uint8, generator=generator)
