"""LII, long-term fusion across frames (paper: MII; method: LII).

Shapes: B clips, T frames, L patches a frame, D channels; token 0 of a frame is its class token.
"""

import torch
from torch import nn

from xreid_plugin.modeling.attention import CrossAttentionBlock


class LongTermInteraction(nn.Module):
    """The class token of frame (t + S) mod T reads the patches of frame t, so that distant frames meet."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, stride: int) -> None:
        """
        Args:
            dim: D.
            num_heads: number of attention heads; divides D.
            mlp_ratio: hidden width of the block's MLP, in D.
            stride: S, in frames.
        """
        super().__init__()
        self.stride = stride
        self.block = CrossAttentionBlock(dim, num_heads, mlp_ratio)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """
        Args:
            tokens: (B, T, 1 + L, D).

        Returns:
            (B, T, D), l_t.
        """
        query = tokens[:, :, :1].roll(-self.stride, dims=1).flatten(0, 1)
        fused = self.block(query, tokens[:, :, 1:].flatten(0, 1))
        return fused.unflatten(0, tokens.shape[:2]).squeeze(2)
