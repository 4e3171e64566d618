"""Loaders that work without CUDA, keep their workers, and tell a worker's error as it was raised."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import fastreid.data.build
import fastreid.utils.comm
import torch

from xreid_plugin.host.training import resolve_device

# How torch's message begins where a worker was killed or ended without an error; it is raised wherever the main process
# happens to be.
WORKER_DIED = "DataLoader worker"


def default_workers() -> int:
    """How many workers a loader of this process has by default: its share of the cores, 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // fastreid.utils.comm.get_local_size()))


def leave_process_group(worker: int) -> None:
    """Lets a worker go on reading when a terminal or cluster signals all processes of a run, which ends its step."""
    os.setpgid(0, 0)


class _InSharedMemory:
    """Collates items, and puts the tensors where the main process reads them.

    The queue would do so later, where an error, as of a full /dev/shm, reaches nobody: the main process waits forever.
    """

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Any]) -> Any:
        batch = self._collate(items)
        if torch.utils.data.get_worker_info() is not None and isinstance(batch, dict):
            for value in batch.values():
                if torch.is_tensor(value):
                    value.share_memory_()
        return batch


class DeviceLoader(torch.utils.data.DataLoader):
    """Replaces ``DataLoaderX``, which opens a CUDA stream on every machine (host issues 366, 485 and 684).

    On CUDA the next batch is copied on a stream of its own while the current one is computed on, as the host intended;
    elsewhere batches are yielded as they come. Workers start at the first batch, not when the iterator is made, and
    stay for the next pass over the same loader. A dataset with a ``collate_fn`` of its own is collated by that.
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
        kwargs["collate_fn"] = None if collate is None else _InSharedMemory(collate)
        kwargs["pin_memory"] = cuda
        kwargs.setdefault("worker_init_fn", leave_process_group)
        super().__init__(num_workers=workers, persistent_workers=workers > 0, **kwargs)

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        # Torch draws a seed for the workers here, once more in a run that is resumed than in one never interrupted.
        with torch.random.fork_rng(devices=[]):
            batches = super().__iter__()
        try:
            yield from _copied_ahead(batches, self.device) if self.device.type == "cuda" else batches
        except Exception as error:
            kind, text = type(error), str(error)
            if not text.startswith(f"Caught {kind.__name__} "):
                raise
            # Torch puts the worker's traceback before its message, where nobody looks for that.
            said = text.rpartition(f"{kind.__name__}: ")[2].strip()
            if "</torch_" in said:
                raise OSError(
                    f"A batch does not fit into /dev/shm: {said}. Enlarge it, by docker's --shm-size, or "
                    "lower DATALOADER.NUM_WORKERS; 0 reads in the main process."
                ) from error
            raise kind(said) from error


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
            loader.prefetch_factor = cfg.DATALOADER.PREFETCH
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
