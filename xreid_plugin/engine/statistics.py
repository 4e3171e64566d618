"""One set of batch-norm statistics for all processes."""

import torch
from fastreid.engine.train_loop import HookBase
from torch import nn

from xreid_plugin.modeling.gather import gather_rows


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


class StatisticsHook(HookBase):
    """Shares the statistics after every epoch, before it is saved and evaluated and the next refresh."""

    def __init__(self, model: nn.Module) -> None:
        """
        Args:
            model: of the run.
        """
        self._model = model

    def after_epoch(self) -> None:
        """Waits for all ranks."""
        share_batch_statistics(self._model)
