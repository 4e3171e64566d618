"""Steps, optimisers and hooks of the host's own trainer."""

import time
from collections.abc import Iterator
from typing import Any

import fastreid.engine.hooks
import fastreid.solver.build
import fastreid.utils.comm
import fastreid.utils.events
import numpy as np
import torch
from fastreid.engine.train_loop import SimpleTrainer


class AMPTrainer(SimpleTrainer):
    """Replaces ``AMPTrainer``, which is CUDA and fp16 only, through the deprecated ``torch.cuda.amp``.

    ``dtype`` None means float16 on CUDA, as in the host, else bfloat16; gradients are scaled for float16 only.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data_loader: Any,
        optimizer: torch.optim.Optimizer,
        param_wrapper: Any,
        grad_scaler: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(model, data_loader, optimizer, param_wrapper)
        device = next(model.parameters()).device.type
        if dtype is None:
            dtype = torch.float16 if device == "cuda" else torch.bfloat16
        self.autocast = torch.autocast(device, dtype)
        self.grad_scaler = grad_scaler or torch.amp.GradScaler(device, enabled=dtype == torch.float16)

    def run_step(self) -> None:
        """One step: forward under autocast, scaled backward, metrics, update."""
        data, data_time = _timed_next(self._data_loader_iter)
        with self.autocast:
            loss_dict = self.model(data)
        self.optimizer.zero_grad()
        self.grad_scaler.scale(sum(loss_dict.values())).backward()
        self._write_metrics(loss_dict, data_time)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()


def write_metrics(trainer: SimpleTrainer, loss_dict: dict[str, torch.Tensor], data_time: float) -> None:
    """Replaces ``SimpleTrainer._write_metrics``, which reads the losses on a CUDA stream that waits for nothing.

    There a loss may be read before it is computed. Here all are copied at once, after what computes them.

    Raises:
        FloatingPointError: the losses' sum is not finite; names them and the iteration.
    """
    values = torch.stack([value.detach().float() for value in loss_dict.values()]).tolist()
    gathered = fastreid.utils.comm.gather({**dict(zip(loss_dict, values, strict=True)), "data_time": data_time})
    if not fastreid.utils.comm.is_main_process():
        return
    storage = fastreid.utils.events.get_event_storage()
    # The slowest process is the one that all wait for.
    storage.put_scalar("data_time", max(metrics.pop("data_time") for metrics in gathered))
    means = {name: float(np.mean([metrics[name] for metrics in gathered])) for name in loss_dict}
    if not np.isfinite(sum(means.values())):
        raise FloatingPointError(f"Loss became infinite or NaN at iteration {trainer.iter}: {means}")
    storage.put_scalar("total_loss", sum(means.values()))
    if len(means) > 1:
        storage.put_scalars(**means)


def _timed_next(batches: Iterator[Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return next(batches), time.perf_counter() - start


_host_build_optimizer = fastreid.solver.build.build_optimizer


def build_optimizer(cfg: Any, model: torch.nn.Module, contiguous: bool = False) -> tuple[torch.optim.Optimizer, Any]:
    """Replaces ``build_optimizer``, whose contiguous buffers never learn on torch 2.

    There ``zero_grad`` drops the buffer's gradient instead of zeroing it, so that every step finds nothing to do: a run
    looks fine, but its weights stay as they were initialised. Parameters are optimised one by one instead.
    """
    return _host_build_optimizer(cfg, model, contiguous=False)


class EvalHook(fastreid.engine.hooks.EvalHook):
    """Replaces ``EvalHook``, which divides by a period of zero when training ends; zero or less means never."""

    def after_train(self) -> None:
        """Evaluates at the end if the period did not end there."""
        if self._period > 0:
            super().after_train()
