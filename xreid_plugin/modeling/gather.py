"""One batch out of the parts that the ranks hold, so that every rank computes what a single process would.

Shapes: W ranks, b rows of one rank, B = W·b rows of all.
"""

from typing import Any

import torch
from fastreid.utils import comm
from torch import nn


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all ranks, in the order of the ranks: (b, ...) to (B, ...), without gradient; b must be the same."""
    if comm.get_world_size() == 1:
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(comm.get_world_size())]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class _GatherRows(torch.autograd.Function):
    """Every rank computes the same loss of all rows, so that the gradient of its own rows needs no communication.

    Distributed training averages the parameters' gradients over W ranks. A rank's own rows reach the loss on all of
    them, hence the factor W; what comes after the gathering has the same gradient everywhere, which averaging keeps.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        ctx.count = len(rows)
        return gather_rows(rows)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        own = gradient.narrow(0, comm.get_rank() * ctx.count, ctx.count)
        return own * comm.get_world_size()


def gather_with_gradient(rows: torch.Tensor) -> torch.Tensor:
    """:func:`gather_rows`, with a gradient that fits parameters whose gradients are averaged over ranks.

    Every rank must compute the same loss of the gathered rows.
    """
    return rows if comm.get_world_size() == 1 else _GatherRows.apply(rows)


class GlobalBatch:
    """Gathers the parts of a training batch, in the order in which a single process would have it.

    That order is all ranks' infrared clips, then all ranks' visible ones, as the samplers draw and share them.
    Clips that were drawn without regard to modality come in another order than a single process has them, which
    neither losses nor prototypes depend on but for rounding.
    """

    def __init__(self, modalities: torch.Tensor) -> None:
        """
        Args:
            modalities: (b,) int64, of this rank's clips.
        """
        self._order = gather_rows(modalities).argsort(stable=True) if comm.get_world_size() > 1 else None

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """One row a clip, (b, ...) to (B, ...), with the gradient of :func:`gather_with_gradient`.

        A single process's rows stay as they are.
        """
        return rows if self._order is None else gather_with_gradient(rows)[self._order]


@torch.no_grad()
def share_batch_statistics(model: nn.Module) -> None:
    """Gives every rank the mean of all ranks' running means and variances, bit for bit the same.

    The host's distributed training broadcasts no buffers, so that the statistics of an image model's backbone are of a
    rank's own part of the batches. Unshared, ranks would embed queries and gallery with different networks. Heads see
    the clips of all ranks, and their statistics are alike but for what other devices round otherwise.

    Args:
        model: of any kind; changed in place.
    """
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(gather_rows(buffer[None]).mean(0))
