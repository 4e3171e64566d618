"""A step of training that does not wait for the device, and the losses, which are read once a period.

Under float16 the learning-rate hook asks for the scale of gradients in each step of the warm-up, and so waits there.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from fastreid.utils import comm
from fastreid.utils.events import get_event_storage
from torch import nn

from xreid_plugin.data.frame_reader import ClipFaults
from xreid_plugin.data.tracklet import FAULTS, INDICES
from xreid_plugin.engine.inference import bad_clips
from xreid_plugin.host import resolve_device

# The rates of a run that goes on are its checkpoint's.
NUMBERS_REMEDY = (
    "Begin anew with a lower SOLVER.BASE_LR; or --resume goes on from the last checkpoint, perhaps with "
    "SOLVER.AMP.ENABLED False."
)


def gradient_scaler(cfg: Any) -> torch.amp.GradScaler:
    """Keeps gradients within float16, whose range is the only one that is too small for them; else it does nothing."""
    scaled = cfg.SOLVER.AMP.ENABLED and cfg.SOLVER.AMP.DTYPE == "float16"
    return torch.amp.GradScaler(resolve_device(cfg.MODEL.DEVICE).type, enabled=scaled)


class StepRecord(NamedTuple):
    """What is kept of a step until the losses are read.

    Attributes:
        iteration: of the run.
        names: of the losses.
        losses: (len(names),) float32, on the device.
        indices: (B,) int64, positions of this rank's clips in the training set; empty where the loader tells none.
        data_time: seconds that the step waited for its batch.
    """

    iteration: int
    names: tuple[str, ...]
    losses: torch.Tensor
    indices: torch.Tensor
    data_time: float


class TrainingStep:
    """In place of the host's step: under autocast, with scaled gradients for float16, its losses read later.

    To read a loss is to wait until the device has computed it, and while the host waits it queues nothing. So losses
    stay where they are until :meth:`read_losses`, which a run calls at the end of an epoch as well.

    Attributes:
        iter: of the run; set before every step.
        model, data_loader, optimizer, grad_scaler: as given; the host's trainer finds them here.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[dict[str, Any]],
        optimizer: torch.optim.Optimizer,
        autocast: AbstractContextManager[Any],
        grad_scaler: torch.amp.GradScaler,
        period: int,
    ) -> None:
        """
        Args:
            model: maps a batch to losses by name; set to train mode here.
            data_loader: endless; asked for its first batch in the first step.
            optimizer: of the model's parameters.
            autocast: entered around every forward pass.
            grad_scaler: disabled where gradients need no scale.
            period: steps between two readings of the losses, at least 1.
        """
        self.iter = 0
        self.model = model.train()
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.grad_scaler = grad_scaler
        self._batches: Iterator[dict[str, Any]] | None = None
        self._autocast = autocast
        self._period = period
        self._unread: list[StepRecord] = []
        self._faults: list[ClipFaults] = []

    def run_step(self) -> None:
        """Forward, backward, update; every ``period`` steps the losses are read."""
        start = time.perf_counter()
        if self._batches is None:
            self._batches = iter(self.data_loader)
        batch = next(self._batches)
        data_time = time.perf_counter() - start
        self._faults += bad_clips(batch.pop(FAULTS, ()))
        with self._autocast:
            losses = self.model(batch)
        self.optimizer.zero_grad()
        self.grad_scaler.scale(sum(losses.values())).backward()
        # Now and not inside the optimiser's fused step, so that what clips gradients sees them unscaled.
        self.grad_scaler.unscale_(self.optimizer)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        indices = batch.get(INDICES, torch.empty(0, dtype=torch.int64))
        self._unread.append(StepRecord(self.iter, tuple(losses), values, indices, data_time))
        if (self.iter + 1) % self._period == 0:
            self.read_losses()

    def take_faults(self) -> list[ClipFaults]:
        """This rank's clips with bad frames since it was last asked."""
        faults, self._faults = self._faults, []
        return faults

    def read_losses(self) -> None:
        """Hands the means over all ranks to the host's storage; collective.

        Raises:
            FloatingPointError: on every rank, if a loss of any rank is infinite or NaN; names the iteration, the terms
                and the batch's tracklets.
        """
        records, self._unread = self._unread, []
        if not records:
            return
        values = torch.stack([record.losses for record in records]).tolist()
        of_ranks = comm.all_gather((values, [record.data_time for record in records]))
        for step, record in enumerate(records):
            losses = [rank_values[step] for rank_values, _ in of_ranks]
            means = {name: sum(of_name) / len(of_ranks) for name, *of_name in zip(record.names, *losses, strict=True)}
            if not torch.isfinite(torch.tensor(list(means.values()))).all():
                raise FloatingPointError(_message(record, means, self._tracklets(record)))
            if comm.is_main_process():
                # The slowest process is the one that all wait for.
                _store(means, max(data_times[step] for _, data_times in of_ranks))

    def _tracklets(self, record: StepRecord) -> list[str]:
        tracklets = getattr(getattr(self.data_loader, "dataset", None), "tracklets", None)
        indices = [index for of_rank in comm.all_gather(record.indices.tolist()) for index in of_rank]
        return [tracklets[index].name for index in indices] if tracklets is not None else []


def _store(means: dict[str, float], data_time: float) -> None:
    storage = get_event_storage()
    storage.put_scalar("data_time", data_time)
    storage.put_scalar("total_loss", sum(means.values()))
    if len(means) > 1:
        storage.put_scalars(**means)


def _message(record: StepRecord, means: dict[str, float], tracklets: Sequence[str]) -> str:
    terms = ", ".join(f"{name} {value:g}" for name, value in means.items())
    clips = f" The batch's tracklets: {', '.join(tracklets)}." if tracklets else ""
    return (
        f"A loss is not finite at iteration {record.iteration + 1}: {terms}.{clips} Nothing has been saved since. "
        f"{NUMBERS_REMEDY}"
    )
