"""The attention of CLIP's tower and of MII, each in the form that computes the least.

Shapes: R independent rows (frames), N tokens a row, Q queries, M context tokens, D channels, H heads of d = D / H.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def attention_weights(query: torch.Tensor, keys: torch.Tensor, to_key: torch.Tensor) -> torch.Tensor:
    """How much a few queries attend to many tokens whose keys are not projected.

    W_k moves to the query's side, (W_k·y)ᵀq = yᵀ(W_kᵀ·q): the same numbers, for a D×D product less a token. A bias of
    the keys would add the same to all scores of a query, which softmax does not see.

    Args:
        query: (R, Q, H, d), projected.
        keys: (R, M, D), before their projection.
        to_key: (D, D), W_k.

    Returns:
        (R, Q, H, M), summing to 1 over M, in the dtype of ``keys``.
    """
    absorbed = torch.einsum("rqhd,hdc->rqhc", query, to_key.unflatten(0, (query.shape[2], -1)))
    scores = absorbed.flatten(1, 2) @ keys.transpose(1, 2) * query.shape[-1] ** -0.5
    return scores.softmax(-1).to(keys.dtype).unflatten(1, query.shape[1:3])


def read_values(weights: torch.Tensor, values: torch.Tensor, to_value: torch.Tensor) -> torch.Tensor:
    """The weighted sum of values, projected afterwards: Σ w·(W_v·y) = W_v·Σ w·y.

    Args:
        weights: (R, Q, H, M).
        values: (R, M, D), before their projection.
        to_value: (D, D), W_v.

    Returns:
        (R, Q, D).
    """
    heads = (weights.flatten(1, 2) @ values).unflatten(1, weights.shape[1:3])
    return torch.einsum("rqhc,hdc->rqhd", heads, to_value.unflatten(0, (weights.shape[2], -1))).flatten(2)


class QueryAttention(nn.Module):
    """Multi-head attention of a few queries over many tokens, whose keys and values are never computed."""

    def __init__(self, dim: int, num_heads: int) -> None:
        """D, and H, which divides it."""
        super().__init__()
        self.num_heads = num_heads
        self.to_query = nn.Linear(dim, dim, bias=False)
        self.to_key = nn.Linear(dim, dim, bias=False)
        self.to_value = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Queries (R, Q, D), keys and values (R, M, D) before their projections -> (R, Q, D)."""
        return self.to_out(read_values(self.weights(queries, keys), values, self.to_value.weight))

    def weights(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """How much each query attends to each token: (R, Q, D), (R, M, D) -> (R, Q, H, M), summing to 1 over M."""
        query = self.to_query(queries).unflatten(2, (self.num_heads, -1))
        return attention_weights(query, keys, self.to_key.weight)


class SelfAttention(nn.Module):
    """Replaces an ``nn.MultiheadAttention`` whose query, key and value are the same; parameters keep their names.

    Torch's own moves the sequence to the front and projects the strided view that results. Without gradients such a
    product is made piece by piece, each with a copy of the weights: on the CPU in bfloat16 the copies take longer than
    the rest.
    """

    def __init__(self, original: nn.MultiheadAttention) -> None:
        """
        Args:
            original: the module whose parameters are taken over; with biases, without dropout, batch first.
        """
        super().__init__()
        self.num_heads = original.num_heads
        self.in_proj_weight = original.in_proj_weight
        self.in_proj_bias = original.in_proj_bias
        self.out_proj = original.out_proj

    def forward(self, tokens: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        """
        Args:
            tokens: (R, N, D); the other arguments of a MultiheadAttention repeat them, and are ignored.

        Returns:
            (R, N, D), and None where weights would be.
        """
        projected = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        heads = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        # Selected one by one, each of the three would get a gradient of the size of all, to be added up.
        query, key, value = heads.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None

    def of_first(self, tokens: torch.Tensor) -> torch.Tensor:
        """What :meth:`forward` gives the first token of each row: (R, N, D) -> (R, 1, D)."""
        to_query, to_key, to_value = self.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.in_proj_bias.chunk(3)
        query = F.linear(tokens[:, :1].contiguous(), to_query, query_bias).unflatten(2, (self.num_heads, -1))
        read = read_values(attention_weights(query, tokens, to_key), tokens, to_value)
        # Weights that sum to 1 leave the values' bias as it is.
        return self.out_proj(read + value_bias)


class LastBlock(nn.Module):
    """Replaces the last ``ResidualAttentionBlock`` of a tower; parameters keep their names.

    All that is projected into CLIP's space is the class token, the first. What only it needs can leave the other tokens
    out: they are read from, and have neither a query nor the MLP, for about an N-th of the block's work.
    """

    def __init__(self, original: Any) -> None:
        """
        Args:
            original: open_clip's block with a :class:`SelfAttention`, whose parts are taken over.
        """
        super().__init__()
        self.ln_1, self.attn, self.ls_1 = original.ln_1, original.attn, original.ls_1
        self.ln_2, self.mlp, self.ls_2 = original.ln_2, original.mlp, original.ls_2

    def forward(self, tokens: torch.Tensor, *_: Any, first_only: bool = False, **__: Any) -> torch.Tensor:
        """
        Args:
            tokens: (R, N, D); the other arguments of a ResidualAttentionBlock are ignored.
            first_only: whether the first token of a row is all that is wanted.

        Returns:
            (R, N, D), or (R, 1, D).
        """
        normed = self.ln_1(tokens)
        read = self.attn.of_first(normed) if first_only else self.attn(normed)[0]
        hidden = tokens[:, : read.shape[1]] + self.ls_1(read)
        return hidden + self.ls_2(self.mlp(self.ln_2(hidden)))
