"""Parts of CLIP's transformer blocks that compute the same as open_clip's, in less time.

Shapes: F frames, N tokens a frame, D channels.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


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
        assert original.in_proj_bias is not None
        self.num_heads = original.num_heads
        self.in_proj_weight = original.in_proj_weight
        self.in_proj_bias = original.in_proj_bias
        self.out_proj = original.out_proj

    def forward(self, tokens: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        """
        Args:
            tokens: (F, N, D); the other arguments of a MultiheadAttention repeat them, and are ignored.

        Returns:
            (F, N, D), and None where weights would be.
        """
        projected = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        heads = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None
