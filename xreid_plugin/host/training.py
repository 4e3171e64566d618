"""Where a model runs and in how many processes, and the steps, optimisers and hooks of the host's own trainer."""

import inspect
import pickle
import time
from datetime import timedelta
from typing import Any

import fastreid.engine.hooks
import fastreid.modeling.meta_arch.build
import fastreid.solver.build
import fastreid.utils.comm
import torch
from fastreid.engine.train_loop import SimpleTrainer
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

# Torch 2.15 has renamed it, and warns of the older name.
_NAMES = inspect.signature(DistributedDataParallel.__init__).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"


def resolve_device(name: str) -> torch.device:
    """``auto`` is the current CUDA device where there is one, else the CPU; any other name is torch's."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ValueError(f"MODEL.DEVICE is {name!r}; expected auto, cpu, cuda or cuda:N.") from None


def build_model(cfg: Any) -> torch.nn.Module:
    """Replaces ``build_model``, whose default is a CUDA device that may not exist, and which knows no ``auto``."""
    model: torch.nn.Module = fastreid.modeling.meta_arch.build.META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(resolve_device(cfg.MODEL.DEVICE))


def distributed(model: torch.nn.Module, device_ids: list[int], broadcast_buffers: bool) -> DistributedDataParallel:
    """Replaces ``DistributedDataParallel`` where ``DefaultTrainer`` wraps its model, for any device and list of losses.

    The host names a GPU even for a model on the CPU, and waits forever for the gradient of a parameter that no loss
    uses. Every step has the same graph here, so the first shows which those are. They have no gradient then, as in a
    single process.
    """
    on_cuda = next(model.parameters()).device.type == "cuda"
    options: Any = {_SYNC_BUFFERS: broadcast_buffers}
    return DistributedDataParallel(
        model,
        device_ids=device_ids if on_cuda else None,
        **options,
        static_graph=True,
        # Gradients lie where they are sent from; without this each is copied there.
        gradient_as_bucket_view=True,
    )


def compress_gradients(model: DistributedDataParallel) -> None:
    """Sends gradients between processes as bfloat16, in half the bytes; they are summed in it as well."""
    model.register_comm_hook(None, bf16_compress_hook)


def set_local_group(local_size: int, timeout: timedelta) -> None:
    """Tells the host which processes share this one's machine; collective.

    Its own launcher does so, which knows CUDA alone. Its loaders and its trainer ask for the rank within the machine,
    and for nothing that NCCL would make connections for.

    Args:
        local_size: processes on each machine.
        timeout: of whoever waits for another.
    """
    for first in range(0, dist.get_world_size(), local_size):
        ranks = range(first, first + local_size)
        group = dist.new_group(list(ranks), timeout, backend="gloo")
        if dist.get_rank() in ranks:
            fastreid.utils.comm._LOCAL_PROCESS_GROUP = group


def serialize_to_tensor(data: Any, group: Any) -> torch.Tensor:
    """Replaces ``comm._serialize_to_tensor``, which goes through the deprecated ``torch.ByteStorage``: (n,) uint8."""
    device = "cpu" if dist.get_backend(group) == "gloo" else "cuda"
    return torch.frombuffer(bytearray(pickle.dumps(data)), dtype=torch.uint8).to(device)


_write_metrics = SimpleTrainer._write_metrics


def write_metrics(trainer: SimpleTrainer, loss_dict: dict[str, torch.Tensor], data_time: float) -> None:
    """Replaces ``SimpleTrainer._write_metrics``, which reads the losses on a CUDA stream that waits for nothing."""
    if torch.cuda.is_available():
        torch.cuda.current_stream().synchronize()
    _write_metrics(trainer, loss_dict, data_time)


class AMPTrainer(SimpleTrainer):
    """Replaces ``AMPTrainer``, which is CUDA only, through the deprecated ``torch.cuda.amp``.

    Autocast is to float16 on CUDA, as in the host, else to bfloat16; gradients are scaled for float16 only.
    """

    def __init__(self, model: torch.nn.Module, data_loader: Any, optimizer: Any, param_wrapper: Any) -> None:
        super().__init__(model, data_loader, optimizer, param_wrapper)
        device = next(model.parameters()).device.type
        self.autocast = torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16)
        self.grad_scaler = torch.amp.GradScaler(device, enabled=device == "cuda")
        self._batches = iter(data_loader)

    def run_step(self) -> None:
        """One step: forward under autocast, scaled backward, metrics, update."""
        start = time.perf_counter()
        data = next(self._batches)
        data_time = time.perf_counter() - start
        with self.autocast:
            loss_dict = self.model(data)
        self.optimizer.zero_grad()
        self.grad_scaler.scale(sum(loss_dict.values())).backward()
        self._write_metrics(loss_dict, data_time)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()


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
