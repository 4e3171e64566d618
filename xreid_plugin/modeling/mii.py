"""MII, Multi-granularity Information Interaction: SII and LII over time, CII across modalities (method: MII).

Shapes: B clips, T frames, L patches a frame, D channels; token 0 of a frame is its class token. R independent rows, Q
queries and M context tokens a row, H heads.
"""

from typing import Any

import torch
from torch import nn

from xreid_plugin.modeling.attention import QueryAttention


def _mlp(dim: int, ratio: float) -> nn.Sequential:
    hidden = int(dim * ratio)
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class CrossAttentionBlock(nn.Module):
    """Queries read a context, then pass an MLP: the block of SII and LII (method: MII, cross-attention block).

    h = q + W_o·Attn(W_q·LN(q), W_k·LN(Y), W_v·Y);  Block(q, Y) = h + MLP(LN(h)). The values are of Y as it is.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        """D, H, and the hidden width of the MLP in D."""
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim)
        self.attention = QueryAttention(dim, num_heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = _mlp(dim, mlp_ratio)

    def forward(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Queries (R, Q, D) and context (R, M, D) -> (R, Q, D)."""
        hidden = queries + self.attention(self.query_norm(queries), self.context_norm(context), context)
        return hidden + self.mlp(self.mlp_norm(hidden))

    def attention_weights(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """The block's attention, (R, H, Q, M), for pictures of it."""
        return self.attention.weights(self.query_norm(queries), self.context_norm(context)).transpose(1, 2)


class FirstPlaceBlock(nn.Module):
    """A pre-norm self-attention block of which only the first place's output is wanted.

    That place alone has a query and passes the MLP; the others are read from. The output is what a whole block would
    have there, for about a (1 + L)-th of its work.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        """D, H, and the hidden width of the MLP in D."""
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = QueryAttention(dim, num_heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = _mlp(dim, mlp_ratio)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(R, M, D) -> (R, D)."""
        normed = self.norm(tokens)
        hidden = tokens[:, :1] + self.attention(normed[:, :1], normed, normed)
        return (hidden + self.mlp(self.mlp_norm(hidden))).squeeze(1)


def temporal_shift(tokens: torch.Tensor, stride: int) -> torch.Tensor:
    """Mixes frames by moving channels in time (paper: equation 5).

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
    """
    quarter = tokens.shape[-1] // 4
    from_past, from_future, own = tokens.split([quarter, quarter, tokens.shape[-1] - 2 * quarter], dim=-1)
    past = torch.cat([from_past[:, :stride], from_past[:, :-stride]], dim=1)
    future = torch.cat([from_future[:, stride:], from_future[:, -stride:]], dim=1)
    return torch.cat([past, future, own], dim=-1)


class ShortTermInteraction(nn.Module):
    """SII: each frame's class token reads its own patches, mixed with those of its neighbours (equations 5 and 6)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, stride: int, depth: int) -> None:
        """
        Args:
            dim, num_heads, mlp_ratio: of a block.
            stride: S, in frames, at least 1.
            depth: number of blocks.
        """
        super().__init__()
        self.stride = stride
        self.blocks = nn.ModuleList(CrossAttentionBlock(dim, num_heads, mlp_ratio) for _ in range(depth))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, 1 + L, D) -> (B, T, D), s_t."""
        query = tokens[:, :, :1].flatten(0, 1)
        patches = temporal_shift(tokens[:, :, 1:], self.stride).flatten(0, 1)
        for block in self.blocks:
            query = block(query, patches)
        return query.unflatten(0, tokens.shape[:2]).squeeze(2)


class LongTermInteraction(nn.Module):
    """LII: the class token of frame t − S reads the patches of frame t, and stays frame t − S's (equation 7)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, stride: int) -> None:
        """
        Args:
            dim, num_heads, mlp_ratio: of the block.
            stride: S, in frames; 0 lets every frame read its own patches. It wraps around at the clip's ends.
        """
        super().__init__()
        self.stride = stride
        self.block = CrossAttentionBlock(dim, num_heads, mlp_ratio)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, 1 + L, D) -> (B, T, D), l_t: the class token of frame t, which has read frame t + S."""
        earlier = tokens[:, :, :1].roll(self.stride, dims=1).flatten(0, 1)
        read = self.block(earlier, tokens[:, :, 1:].flatten(0, 1))
        return read.unflatten(0, tokens.shape[:2]).squeeze(2).roll(-self.stride, dims=1)


class CrossModalityInteraction(nn.Module):
    """CII: a clip's sequence feature reads, frame by frame, the same person's clip of the other modality (section CII).

    Of training alone. One block serves all branches and both modalities.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        """The arguments of its block."""
        super().__init__()
        self.block = FirstPlaceBlock(dim, num_heads, mlp_ratio)

    def forward(self, sequence: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """
        Args:
            sequence: (B, D), ō of one branch; an infrared block and a visible one of B / 2 clips each, partners at the
                same place of the two.
            tokens: (B, T, 1 + L, D), the same clips' tokens; the class tokens are not read.

        Returns:
            (B, D), O: row i is clip i's sequence feature after it has read its partner, averaged over T.
        """
        clips, frames = tokens.shape[:2]
        patches = tokens[:, :, 1:].roll(clips // 2, dims=0)
        first = sequence[:, None, None].expand(-1, frames, -1, -1)
        read = self.block(torch.cat([first, patches], dim=2).flatten(0, 1))
        return read.unflatten(0, (clips, frames)).mean(1)


def build_interactions(cfg: Any, dim: int) -> nn.ModuleDict:
    """The interactions of tokens of D = ``dim`` channels that ``cfg`` enables, by branch: "sii", "lii", "cii"."""
    mii = cfg.MODEL.MII
    shared = {"dim": dim, "num_heads": mii.HEADS, "mlp_ratio": mii.MLP_RATIO}
    interactions = nn.ModuleDict()
    if mii.SII.ENABLED:
        interactions["sii"] = ShortTermInteraction(**shared, stride=mii.SII.STRIDE, depth=mii.SII.DEPTH)
    if mii.LII.ENABLED:
        interactions["lii"] = LongTermInteraction(**shared, stride=mii.LII.STRIDE)
    if mii.CII.ENABLED:
        interactions["cii"] = CrossModalityInteraction(**shared)
    return interactions
