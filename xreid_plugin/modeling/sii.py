"""SII, short-term interaction of adjacent frames (paper: MII; method: SII).

Shapes: B clips, T frames, L patches a frame, D channels; token 0 of a frame is its class token.
"""

import torch
from torch import nn

from xreid_plugin.modeling.attention import CrossAttentionBlock


def temporal_shift(tokens: torch.Tensor, stride: int) -> torch.Tensor:
    """Mixes frames by moving channels in time (method: SII).

    Of every token's D channels the first quarter comes from frame t − stride, the second from t + stride, and the rest
    stays; where that frame is outside the clip, the frame keeps its own.

    The result is gathered from the untouched input. Shifting in place reads what it has just written: with a stride
    of 1, frame 1 would take frame 0's quarter, frame 2 would take it from frame 1, and every frame would end with
    frame 0's.

    Args:
        tokens: (B, T, L, D); not changed.
        stride: S, in frames, at least 1; T or more leaves everything in place.

    Returns:
        (B, T, L, D), the dtype of ``tokens``.

    Raises:
        ValueError: a stride below 1.
    """
    if stride < 1:
        raise ValueError(f"MODEL.MII.SII.STRIDE is {stride}; it must be at least 1.")
    quarter = tokens.shape[-1] // 4
    from_past, from_future, own = tokens.split([quarter, quarter, tokens.shape[-1] - 2 * quarter], dim=-1)
    past = torch.cat([from_past[:, :stride], from_past[:, :-stride]], dim=1)
    future = torch.cat([from_future[:, stride:], from_future[:, -stride:]], dim=1)
    return torch.cat([past, future, own], dim=-1)


class ShortTermInteraction(nn.Module):
    """Each frame's class token reads its own frame's patches after they were mixed with their neighbours in time."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, stride: int, depth: int) -> None:
        """
        Args:
            dim: D.
            num_heads: number of attention heads; divides D.
            mlp_ratio: hidden width of the blocks' MLP, in D.
            stride: S, in frames.
            depth: number of blocks.
        """
        super().__init__()
        self.stride = stride
        self.blocks = nn.ModuleList(CrossAttentionBlock(dim, num_heads, mlp_ratio) for _ in range(depth))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """
        Args:
            tokens: (B, T, 1 + L, D).

        Returns:
            (B, T, D), s_t.
        """
        patches = temporal_shift(tokens[:, :, 1:], self.stride).flatten(0, 1)
        query = tokens[:, :, :1].flatten(0, 1)
        for block in self.blocks:
            query = block(query, patches)
        return query.unflatten(0, tokens.shape[:2]).squeeze(2)
