"""One batch out of the parts that the ranks hold, so that every rank computes what a single process would.

Shapes: W ranks, b rows of one rank, B = W·b rows of all.
"""

from collections.abc import Sequence
from typing import Any

import torch
from fastreid.utils import comm
from torch import nn


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all ranks, in the order of the ranks: (b, ...) to (B, ...), without gradient; b must be the same."""
    if comm.get_world_size() == 1:
        return rows
    gathered = rows.new_empty(comm.get_world_size() * len(rows), *rows.shape[1:])
    torch.distributed.all_gather_into_tensor(gathered, rows.contiguous())
    return gathered


class _GatherRows(torch.autograd.Function):
    """Every rank computes the same loss of all rows, so that the gradient of its own rows needs no communication.

    Distributed training averages the parameters' gradients over W ranks. A rank's own rows reach the loss on all of
    them, hence the factor W; what comes after the gathering has the same gradient everywhere, which averaging keeps.
    """

    @staticmethod
    def forward(ctx: Any, order: torch.Tensor, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # A part that no loss uses has no gradient, as in a single process, rather than one of zeros.
        ctx.set_materialize_grads(False)
        ctx.own = order.argsort().chunk(comm.get_world_size())[comm.get_rank()]
        gathered = gather_rows(torch.cat([part.flatten(1) for part in parts], dim=1))[order]
        split = gathered.split([part[0].numel() for part in parts], dim=1)
        return tuple(rows.reshape(-1, *part.shape[1:]) for rows, part in zip(split, parts, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        own = (None if rows is None else rows[ctx.own] * comm.get_world_size() for rows in gradients)
        return None, *own


def gather_with_gradient(rows: torch.Tensor) -> torch.Tensor:
    """:func:`gather_rows`, with a gradient that fits parameters whose gradients are averaged over ranks.

    Every rank must compute the same loss of the gathered rows.
    """
    if comm.get_world_size() == 1:
        return rows
    in_order = torch.arange(comm.get_world_size() * len(rows), device=rows.device)
    return _GatherRows.apply(in_order, rows)[0]


class GlobalBatch:
    """A training batch of all ranks, in the order in which a single process would have it.

    That order is all ranks' infrared clips, then all ranks' visible ones, as the samplers draw and share them.
    Clips that were drawn without regard to modality come in another order than a single process has them, which
    neither losses nor prototypes depend on but for rounding.

    Attributes:
        targets: (B,) int64, of all ranks' clips.
        modalities: (B,) int64, of all ranks' clips.
    """

    def __init__(self, targets: torch.Tensor, modalities: torch.Tensor) -> None:
        """
        Args:
            targets: (b,) int64, of this rank's clips.
            modalities: (b,) int64, of this rank's clips.
        """
        self.targets, self.modalities = targets, modalities
        self._order: torch.Tensor | None = None
        if comm.get_world_size() > 1:
            labels = gather_rows(torch.stack([targets, modalities], dim=1))
            self._order = labels[:, 1].argsort(stable=True)
            self.targets, self.modalities = labels[self._order].unbind(1)

    def __call__(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Several tensors of one dtype in one exchange, with the gradient of :func:`gather_with_gradient`.

        Args:
            parts: one row a clip, (b, ...) each.

        Returns:
            (B, ...) each; a single process's rows stay as they are.
        """
        return list(parts) if self._order is None else list(_GatherRows.apply(self._order, *parts))


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
