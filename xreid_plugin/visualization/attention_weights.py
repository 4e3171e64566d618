"""The weights inside attention blocks, which the fused kernel of training and evaluation never returns.

They are computed a second time, from a block's own inputs, and by hooks, so that the model's code stays as it is and
pays nothing when weights are not recorded.

Shapes: R independent rows, Q queries and M context tokens a row, D channels.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from xreid_plugin.modeling.attention import CrossAttentionBlock


def attention_weights(block: CrossAttentionBlock, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """softmax(W_q·LN(q) · (W_k·LN(Y))ᵀ / √d) of each head of width d (method: MII, cross-attention block).

    Args:
        block: the block whose weights are wanted.
        queries: (R, Q, D), as the block gets them.
        context: (R, M, D), likewise.

    Returns:
        (R, heads, Q, M) float32; each row of M sums to 1.
    """
    query = _by_head(block.to_query(block.query_norm(queries)), block.num_heads)
    key = _by_head(block.to_key(block.context_norm(context)), block.num_heads)
    return (query.float() @ key.float().mT / query.shape[-1] ** 0.5).softmax(-1)


def _by_head(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


@contextmanager
def recorded_weights(parts: Mapping[str, nn.Module]) -> Iterator[dict[str, list[torch.Tensor]]]:
    """While this lasts, every call of an attention block inside ``parts`` records its weights.

    Args:
        parts: modules by name, such as X-ReID's ``mii``.

    Yields:
        By name, the weights of each of the part's blocks in the order of their calls, (R, heads, Q, M), without
        gradient, on the model's device.
    """
    found: dict[str, list[torch.Tensor]] = {name: [] for name in parts}
    handles = []

    def recorder(name: str) -> Any:
        def record(block: CrossAttentionBlock, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
            with torch.no_grad():
                found[name].append(attention_weights(block, *inputs))

        return record

    try:
        for name, part in parts.items():
            blocks = (module for module in part.modules() if isinstance(module, CrossAttentionBlock))
            handles += [block.register_forward_pre_hook(recorder(name)) for block in blocks]
        yield found
    finally:
        for handle in handles:
            handle.remove()
