"""Loaders that work without CUDA, keep their workers, and say plainly what ended one of them."""

import os
import weakref
from collections.abc import Iterator
from typing import Any

import fastreid.data.build
import fastreid.utils.comm
import torch

from xreid_plugin.host.devices import resolve_device
from xreid_plugin.loader_errors import end_with_lost_batch, loader_errors_told


def default_workers() -> int:
    """How many workers a loader of this process has by default: its share of the cores, 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // fastreid.utils.comm.get_local_size()))


def leave_process_group(worker: int) -> None:
    """Lets a worker go on reading when a terminal or cluster signals all processes of a run, which ends its step."""
    os.setpgid(0, 0)


def prepare_worker(worker: int) -> None:
    """Sets up the process of a worker: it outlives a signal to the run, but not a batch that it cannot hand over."""
    leave_process_group(worker)
    end_with_lost_batch()


class DeviceLoader(torch.utils.data.DataLoader):
    """Replaces ``DataLoaderX``, which opens a CUDA stream on every machine (host issues 366, 485 and 684).

    On CUDA the next batch is copied on a stream of its own while the current one is computed on, as the host intended;
    elsewhere batches are yielded as they come. Workers start at the first batch, not when the iterator is made, and
    stay for the next pass over the same loader; an error ends them, and the next pass starts new ones. A dataset with
    a ``collate_fn`` of its own is collated by that.
    """

    def __init__(self, local_rank: int, *, num_workers: int = 0, **kwargs: Any) -> None:
        """
        Args:
            local_rank: number of the CUDA device, where there is one.
            num_workers: processes that read; negative: see :func:`default_workers`.
            **kwargs: as for torch's loader.
        """
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
        workers = default_workers() if num_workers < 0 else num_workers
        collate = getattr(kwargs["dataset"], "collate_fn", kwargs.get("collate_fn"))
        changed = {"pin_memory": cuda, "collate_fn": collate, "persistent_workers": workers > 0}
        kwargs.setdefault("worker_init_fn", prepare_worker)
        super().__init__(num_workers=workers, **{**kwargs, **changed})
        self._end_workers: weakref.finalize[..., Any] | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        batches = self._told_plainly()
        yield from _copied_ahead(batches, self.device) if self.device.type == "cuda" else batches

    def _told_plainly(self) -> Iterator[dict[str, Any]]:
        try:
            with loader_errors_told():
                # Torch draws a seed for the workers here, once more in a run that is resumed than in one never
                # interrupted.
                with torch.random.fork_rng(devices=[]):
                    batches = super().__iter__()
                if self.num_workers and self._end_workers is None:
                    self._end_workers = weakref.finalize(self, _end_workers_of, batches, os.getpid())
                    # Torch itself ends those that are left when the process ends.
                    self._end_workers.atexit = False
                yield from batches
        except Exception:
            if self._end_workers is not None:
                self._end_workers()
                # The next pass starts new ones.
                self._iterator = self._end_workers = None
            raise


def _end_workers_of(batches: Any, owner: int) -> None:
    """Asks the workers of a loader to end, and waits for them.

    Torch does the same when the iterator is collected as garbage. But where it is part of a cycle, as any that an
    error's traceback leads to, its queues are closed first: nothing reaches a worker any more, and torch waits five
    seconds for each before it kills it. So this keeps hold of the iterator until nobody needs its loader.
    """
    # A forked process inherits this, but workers are their parent's to end.
    if os.getpid() == owner:
        batches._shutdown_workers()


def _copied_ahead(batches: Iterator[dict[str, Any]], device: torch.device) -> Iterator[dict[str, Any]]:
    side = torch.cuda.Stream(device)

    def fetch() -> dict[str, Any] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        with torch.cuda.stream(side):
            return {k: v.to(device, non_blocking=True) if torch.is_tensor(v) else v for k, v in batch.items()}

    ahead = fetch()
    while ahead is not None:
        now = torch.cuda.current_stream(device)
        now.wait_stream(side)
        batch = ahead
        for value in batch.values():
            if torch.is_tensor(value):
                # Without this the allocator could hand the memory to the side stream while it is still read here.
                value.record_stream(now)
        ahead = fetch()
        yield batch


def _configured(loader: DeviceLoader, cfg: Any) -> DeviceLoader:
    if cfg is not None:
        if loader.num_workers:
            # The host's own configuration knows no such key.
            loader.prefetch_factor = cfg.DATALOADER.get("PREFETCH", loader.prefetch_factor)
        device = resolve_device(cfg.MODEL.DEVICE)
        # Without an index a CUDA device means that of the process, which the loader knows by its local rank.
        if device.type == "cpu" or device.index is not None:
            loader.device = device
        loader.pin_memory = loader.device.type == "cuda"
    return loader


def _config_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs.get("cfg", args[0] if args and hasattr(args[0], "MODEL") else None)


_train_loader = fastreid.data.build.build_reid_train_loader
_test_loader = fastreid.data.build.build_reid_test_loader


def build_reid_train_loader(*args: Any, **kwargs: Any) -> DeviceLoader:
    """Replaces the host's function of the same name: batches go to ``MODEL.DEVICE``, not always to CUDA.

    ``DATALOADER.PREFETCH`` is honoured.
    """
    return _configured(_train_loader(*args, **kwargs), _config_in(args, kwargs))


def build_reid_test_loader(*args: Any, **kwargs: Any) -> tuple[DeviceLoader, int]:
    """Replaces the host's function of the same name, which always starts four workers.

    ``DATALOADER.NUM_WORKERS`` and ``DATALOADER.PREFETCH`` are honoured, and batches go to ``MODEL.DEVICE``.
    """
    cfg = _config_in(args, kwargs)
    if cfg is None:
        return _test_loader(*args, **kwargs)
    workers = kwargs.pop("num_workers", cfg.DATALOADER.NUM_WORKERS)
    options = fastreid.data.build._test_loader_from_config(*args, **kwargs)
    loader, num_query = _test_loader.__wrapped__(**options, num_workers=workers)
    return _configured(loader, cfg), num_query
