"""The only room that knows the host's age: what is mended in fast-reid 1.4.0, why, and when a mend can go.

``import xreid_plugin`` runs :func:`mend`. The host's files are never edited: names in its modules are bound to the
replacements below, for this process. Each replacement's docstring says what it replaces and why; a mend can go when the
host is released with that fault repaired, which :func:`check_version` would notice.
"""

import collections
import functools
import importlib.metadata
import logging
import operator
import os
import pickle
import sys
import time
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from xreid_plugin import config_files, config_merge
from xreid_plugin.config_files import ConfigError
from xreid_plugin.deferred import deferred
from xreid_plugin.faiss_library import import_faiss
from xreid_plugin.files import replace_atomically
from xreid_plugin.loader_errors import end_with_lost_batch, loader_errors_told
from xreid_plugin.torch_files import load_checkpoint, noted_checkpoint

HOST_VERSION = "1.4.0"


def check_version() -> None:
    """Raises:
    ImportError: the host is missing or is not the version whose faults are known; holds the command that mends it.
    """
    remedy = f"python -m pip install --no-deps fastreid=={HOST_VERSION}"
    try:
        found = importlib.metadata.version("fastreid")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"xreid_plugin needs its host, fast-reid {HOST_VERSION}. Install it with: {remedy}") from None
    if found != HOST_VERSION:
        raise ImportError(f"xreid_plugin mends fast-reid {HOST_VERSION}, but {found} is installed. Run: {remedy}")


@contextmanager
def names_of_old() -> Iterator[None]:
    """Gives the two names that the host imports and nobody has any more, and takes them away again.

    ``torch._six`` left torch in 2.0 and ``collections.Mapping`` left Python in 3.10. Other packages probe for both to
    tell versions apart, hence only while the host is imported.
    """
    six = types.ModuleType("torch._six")
    six.string_classes = (str, bytes)  # type: ignore[attr-defined]
    sys.modules["torch._six"] = six
    collections.Mapping = Mapping  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules["torch._six"]
        del collections.Mapping  # type: ignore[attr-defined]


# What the host imports at its head for ROC curves, image transforms and its report on the environment takes longer than
# all the rest.
LATE = ("sklearn", "sklearn.metrics", "torchvision", "torchvision.transforms")

with names_of_old(), deferred(*LATE), warnings.catch_warnings():
    check_version()
    # The host would import FAISS as it comes.
    import_faiss()
    # Both modules warn, once an evaluation runs, that their Cython builds are missing; see no_compilation.
    warnings.filterwarnings("ignore", message="Cython (rank|roc) evaluation", category=UserWarning)
    import fastreid.data.build
    import fastreid.data.transforms.functional
    import fastreid.data.transforms.transforms
    import fastreid.engine.defaults
    import fastreid.engine.hooks
    import fastreid.engine.train_loop
    import fastreid.evaluation.rank
    import fastreid.evaluation.reid_evaluation
    import fastreid.evaluation.roc
    import fastreid.modeling.meta_arch.build
    import fastreid.solver.build
    import fastreid.utils.checkpoint
    import fastreid.utils.collect_env
    import fastreid.utils.comm
    import fastreid.utils.compute_dist
    import fastreid.utils.events
    from fastreid.config import CfgNode
    from fastreid.config.defaults import _C as HOST_DEFAULTS
    from fastreid.engine.train_loop import SimpleTrainer


def resolve_device(name: str) -> torch.device:
    """``auto`` is the current CUDA device where there is one, else the CPU; any other name is what torch says it is."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ValueError(f"MODEL.DEVICE is {name!r}; expected auto, cpu, cuda or cuda:N.") from None


def build_model(cfg: Any) -> torch.nn.Module:
    """Replaces ``build_model``, whose default device is a CUDA that may not be there and which knows no ``auto``."""
    model: torch.nn.Module = fastreid.modeling.meta_arch.build.META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(resolve_device(cfg.MODEL.DEVICE))


def default_workers() -> int:
    """How many workers a loader of this process has where nothing is said: its share of the cores, 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // fastreid.utils.comm.get_local_size()))


def leave_process_group(worker: int) -> None:
    """Lets a worker read on where a terminal or a cluster signals all processes of a run, which ends its step first."""
    os.setpgid(0, 0)


def prepare_worker(worker: int) -> None:
    """Sets up the process of a worker: it outlives a signal to the run, but not a batch that it cannot hand over."""
    leave_process_group(worker)
    end_with_lost_batch()


class DeviceLoader(torch.utils.data.DataLoader):
    """Replaces ``DataLoaderX``, which opens a CUDA stream on every machine (host issues 366, 485 and 684).

    On CUDA the next batch is copied on a stream of its own while the present one is computed on, as the host meant it;
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
        changed = {"pin_memory": cuda, "collate_fn": collate, "persistent_workers": workers > 0}
        kwargs.setdefault("worker_init_fn", prepare_worker)
        super().__init__(num_workers=workers, **{**kwargs, **changed})

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        # Torch draws a seed for the workers here, once more in a run that is resumed than in one never interrupted.
        with torch.random.fork_rng(devices=[]):
            batches = _told_plainly(super().__iter__())
        yield from _copied_ahead(batches, self.device) if self.device.type == "cuda" else batches


def _told_plainly(batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    with loader_errors_told():
        yield from batches


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
    """Replaces the host's function of the same name: batches go to ``MODEL.DEVICE``, not to CUDA come what may.

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


_to_tensor = fastreid.data.transforms.functional.to_tensor


def to_tensor(picture: Any) -> torch.Tensor:
    """Replaces ``to_tensor``, which goes through the deprecated ``torch.ByteStorage`` and, for 1- and 16-bit pictures,
    through a call that NumPy 2 refuses: (C, H, W) float32, 0 to 255 for all but 16- and 32-bit pictures.
    """
    if not isinstance(picture, Image.Image):
        return _to_tensor(picture)
    pixels = torch.from_numpy(np.array(picture.convert("L") if picture.mode == "1" else picture))
    return (pixels[..., None] if pixels.ndim == 2 else pixels).permute(2, 0, 1).contiguous().float()


def serialize_to_tensor(data: Any, group: Any) -> torch.Tensor:
    """Replaces ``comm._serialize_to_tensor``, which goes through the deprecated ``torch.ByteStorage``: (n,) uint8."""
    device = "cpu" if torch.distributed.get_backend(group) == "gloo" else "cuda"
    return torch.frombuffer(bytearray(pickle.dumps(data)), dtype=torch.uint8).to(device)


@torch.no_grad()
def compute_euclidean_distance(features: torch.Tensor, others: torch.Tensor) -> np.ndarray:
    """Replaces the host's function, which calls an overload of ``addmm_`` that is deprecated.

    Args:
        features: (m, d) float.
        others: (n, d) float.

    Returns:
        (m, n) squared Euclidean distances, as in the host despite the name.
    """
    squares = features.pow(2).sum(1, keepdim=True) + others.pow(2).sum(1)
    return squares.addmm(features, others.t(), beta=1, alpha=-2).cpu().numpy()


_build_dist = fastreid.utils.compute_dist.build_dist


def build_dist(feat_1: torch.Tensor, feat_2: torch.Tensor, metric: str = "euclidean", **kwargs: Any) -> np.ndarray:
    """Replaces ``build_dist``, whose "jaccard" needs CUDA and a name that faiss has dropped (host issue 515).

    So TEST.RERANK works for the host's own models, on the CPU and with a GPU. The import waits for the first use: the
    host is mended before any module that imports it is loaded, and most runs never re-rank.

    Args:
        feat_1: (m, d) float.
        feat_2: (n, d) float.
        metric: "cosine", "euclidean" or "jaccard".
        **kwargs: ``k1`` and ``k2``, for "jaccard".

    Returns:
        (m, n) distances.
    """
    if metric != "jaccard":
        distances: np.ndarray = _build_dist(feat_1, feat_2, metric, **kwargs)
        return distances
    from xreid_plugin.evaluation.rerank import jaccard_distance

    return jaccard_distance(torch.cat((feat_1, feat_2)), len(feat_1), kwargs["k1"], kwargs["k2"])


def no_compilation(*_: object) -> None:
    """Replaces ``ReidEvaluator._compile_dependencies``: make inside site-packages, and ``sys.exit`` if that fails.

    The host's evaluator then ranks in Python, with the same figures.
    """


_collect_env_info = fastreid.utils.collect_env.collect_env_info


def collect_env_info() -> str:
    """Replaces the host's function, whose import of torch's compiler helpers warns where CUDA has no GPU."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return _collect_env_info()
    finally:
        logger.setLevel(level)


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


def distributed(model: torch.nn.Module, device_ids: list[int], broadcast_buffers: bool) -> torch.nn.Module:
    """Replaces ``DistributedDataParallel`` where ``DefaultTrainer`` wraps its model, for any device and list of losses.

    The host names a GPU even for a model on the CPU, and waits for ever for the gradient of a parameter that no loss
    uses. Every step has the same graph here, so the first tells which those are. They have no gradient then, as in a
    single process.
    """
    on_cuda = next(model.parameters()).device.type == "cuda"
    return torch.nn.parallel.DistributedDataParallel(
        model,
        device_ids=device_ids if on_cuda else None,
        forward_sync_buffers=broadcast_buffers,
        static_graph=True,
    )


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
    looks well and its weights stay as they were made. Parameters are optimised one by one instead.
    """
    return _host_build_optimizer(cfg, model, contiguous=False)


class EvalHook(fastreid.engine.hooks.EvalHook):
    """Replaces ``EvalHook``, which divides by a period of zero when training ends; zero or less means never."""

    def after_train(self) -> None:
        """Evaluates at the end if the period did not fall due there."""
        if self._period > 0:
            super().after_train()


class Checkpointer(fastreid.utils.checkpoint.Checkpointer):
    """Replaces ``Checkpointer``, which writes straight over its target: a kill in mid-write loses what was there.

    Files are written beside and renamed, and loaded without running code from them.
    """

    def save(self, name: str, **kwargs: Any) -> None:
        """Saves model, checkpointables and ``kwargs`` as ``name.pth``, whole or not at all."""
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict(), **{k: v.state_dict() for k, v in self.checkpointables.items()}}
        target = Path(self.save_dir) / f"{name}.pth"
        self.logger.info(f"Saving checkpoint to {target}")
        replace_atomically(target, lambda part: torch.save({**data, **kwargs}, part))
        self.tag_last_checkpoint(target.name)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Names the newest checkpoint, whole or not at all."""
        target = Path(self.save_dir) / "last_checkpoint"
        replace_atomically(target, lambda part: part.write_text(last_filename_basename))

    def get_checkpoint_file(self) -> str:
        """The newest checkpoint, by the note that saving leaves; the host joins whatever stands there to a path."""
        return str(noted_checkpoint(Path(self.save_dir)))

    def _load_file(self, f: str) -> Any:
        return load_checkpoint(Path(f))


def load_yaml_with_base(filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
    """Replaces ``CfgNode.load_yaml_with_base``, which runs code from a file where ``allow_unsafe`` says so, fetches a
    ``_BASE_`` from the network, and never returns from one that leads back to itself.
    """
    if allow_unsafe:
        raise ConfigError(f"{filename}: allow_unsafe would run code from the file; write its values out instead.")
    return config_files.load_yaml_with_base(Path(filename))


def merge_from_file(cfg: CfgNode, cfg_filename: str, allow_unsafe: bool = False) -> None:
    """Replaces ``CfgNode.merge_from_file``, which stops at the first fault and does not say where it stands."""
    if allow_unsafe:
        raise ConfigError(f"{cfg_filename}: allow_unsafe would run code from the file; write its values out instead.")
    for keys in config_merge.fitted_files(cfg, Path(cfg_filename)):
        config_merge.put(cfg, keys)


def merge_from_other_cfg(cfg: CfgNode, cfg_other: CfgNode) -> None:
    """Replaces ``CfgNode.merge_from_other_cfg``, which stops at the first unknown key and names no nearest one."""
    config_merge.put(cfg, config_merge.fitted_keys(cfg, cfg_other))


def merge_from_list(cfg: CfgNode, cfg_list: list[Any]) -> None:
    """Replaces ``CfgNode.merge_from_list``, for the same reason."""
    for key, value in config_merge.fitted_pairs(cfg, cfg_list):
        *groups, name = key.split(".")
        functools.reduce(operator.getitem, groups, cfg)[name] = value


def mend() -> None:
    """Binds every replacement. Runs once, at the first ``import xreid_plugin``."""
    HOST_DEFAULTS.MODEL.DEVICE = "auto"
    CfgNode.load_yaml_with_base = staticmethod(load_yaml_with_base)
    for merge in (merge_from_file, merge_from_other_cfg, merge_from_list):
        setattr(CfgNode, merge.__name__, merge)
    # DefaultTrainer.train asserts that an evaluation has happened, after the work is done; no evaluation is no results.
    fastreid.engine.defaults.DefaultTrainer._last_eval_results = collections.OrderedDict()
    fastreid.engine.defaults.DistributedDataParallel = distributed
    fastreid.evaluation.reid_evaluation.ReidEvaluator._compile_dependencies = no_compilation
    fastreid.data.build.DataLoaderX = DeviceLoader
    fastreid.utils.comm._serialize_to_tensor = serialize_to_tensor
    SimpleTrainer._write_metrics = write_metrics
    fastreid.utils.compute_dist.compute_euclidean_distance = compute_euclidean_distance
    for replacement in (
        build_model,
        build_reid_train_loader,
        build_reid_test_loader,
        build_optimizer,
        build_dist,
        to_tensor,
        collect_env_info,
        AMPTrainer,
        EvalHook,
        Checkpointer,
    ):
        _rebind(replacement)


def _rebind(replacement: Any) -> None:
    """Binds the name in every host module that holds it: the host imports its functions by name."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "fastreid" and replacement.__name__ in vars(module):
            setattr(module, replacement.__name__, replacement)
