"""The cross-attention block that all three interactions of MII are made of.

Shapes: R independent rows, Q queries and M context tokens a row, D channels.
"""

import torch
from torch import nn
from torch.nn import functional as F


class CrossAttentionBlock(nn.Module):
    """Queries look at a context, then pass an MLP (method: MII, cross-attention block).

    h = q + W_o·Attn(W_q·LN(q), W_k·LN(Y), W_v·Y);  Block(q, Y) = h + MLP(LN(h)).

    The values are projected from Y as it is, without the layer norm that the keys have.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        """
        Args:
            dim: D.
            num_heads: number of attention heads; divides D.
            mlp_ratio: hidden width of the MLP, in D.

        Raises:
            ValueError: ``num_heads`` does not divide D.
        """
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"MODEL.MII.HEADS is {num_heads}, which does not divide the token width {dim}.")
        self.num_heads = num_heads
        self.query_norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim)
        self.to_query = nn.Linear(dim, dim)
        self.to_key = nn.Linear(dim, dim)
        self.to_value = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """
        Args:
            queries: (R, Q, D).
            context: (R, M, D).

        Returns:
            (R, Q, D).
        """
        attended = F.scaled_dot_product_attention(
            self._split_heads(self.to_query(self.query_norm(queries))),
            self._split_heads(self.to_key(self.context_norm(context))),
            self._split_heads(self.to_value(context)),
        )
        hidden = queries + self.to_out(attended.transpose(1, 2).flatten(2))
        return hidden + self.mlp(self.mlp_norm(hidden))

    def _split_heads(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def attention_weights(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """The block's attention, (R, heads, Q, M), for pictures of it."""
        query = self._split_heads(self.to_query(self.query_norm(queries)))
        key = self._split_heads(self.to_key(self.context_norm(context)))
        return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
