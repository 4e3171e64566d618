"""CII, interaction of the two modalities, in training alone (paper: MII; method: CII).

Shapes: B clips, T frames, L patches a frame, D channels; token 0 of a frame is its class token.
"""

import torch
from torch import nn

from xreid_plugin.modeling.attention import CrossAttentionBlock


class CrossModalityInteraction(nn.Module):
    """A clip's class tokens read all patches of its partner: the same identity in the other modality."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        """
        Args:
            dim: D.
            num_heads: number of attention heads; divides D.
            mlp_ratio: hidden width of the block's MLP, in D.
        """
        super().__init__()
        self.block = CrossAttentionBlock(dim, num_heads, mlp_ratio)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """
        Args:
            tokens: (B, T, 1 + L, D), an infrared block and a visible block of B / 2 clips each, partners at the same
                place.

        Returns:
            (B, T, D), x_t; row i is clip i with what it read from its partner.

        Raises:
            ValueError: an odd B, whose clips have no partners.
        """
        if len(tokens) % 2:
            raise ValueError(f"CII got a batch of {len(tokens)} clips, which cannot be pairs of both modalities.")
        partners = tokens.roll(tokens.shape[0] // 2, dims=0)
        return self.block(tokens[:, :, 0], partners[:, :, 1:].flatten(1, 2))
