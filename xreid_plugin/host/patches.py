"""Binds every replacement to the host's names; the short ones are here."""

import collections
import sys
from typing import Any

import fastreid
import fastreid.data.build
import fastreid.data.transforms.functional
import fastreid.engine.defaults
import fastreid.evaluation.reid_evaluation
import fastreid.utils.comm
import fastreid.utils.compute_dist
import numpy as np
import torch
from fastreid.config import CfgNode
from fastreid.config.defaults import _C as HOST_DEFAULTS
from fastreid.engine.train_loop import SimpleTrainer
from numpy.typing import NDArray

from xreid_plugin.host.checkpoints import Checkpointer
from xreid_plugin.host.configuration import (
    load_yaml_with_base,
    merge_from_file,
    merge_from_list,
    merge_from_other_cfg,
)
from xreid_plugin.host.imported import HOST_VERSION
from xreid_plugin.host.loaders import DeviceLoader, build_reid_test_loader, build_reid_train_loader
from xreid_plugin.host.training import (
    AMPTrainer,
    EvalHook,
    build_model,
    build_optimizer,
    distributed,
    serialize_to_tensor,
    write_metrics,
)

_compute_jaccard_distance = fastreid.utils.compute_dist.compute_jaccard_distance


def compute_jaccard_distance(features: torch.Tensor, k1: int = 20, k2: int = 6, **_: Any) -> NDArray[np.float32]:
    """Replaces the host's function, which searches neighbours by a name that faiss has dropped (host issue 515).

    Its search on the CPU has the same result, and needs neither that name nor CUDA.

    Args:
        features: (n, d) float.
        k1: neighbours that make an encoding.
        k2: neighbours over which encodings are averaged.

    Returns:
        (n, n) distances, 0 to 1.
    """
    distances: NDArray[np.float32] = _compute_jaccard_distance(features.cpu(), k1, k2, search_option=3)
    return distances


_to_tensor = fastreid.data.transforms.functional.to_tensor


def to_tensor(picture: Any) -> torch.Tensor:
    """Replaces ``to_tensor``, which goes through the deprecated ``torch.ByteStorage``.

    Args:
        picture: of Pillow, or an array (H, W, C).

    Returns:
        (C, H, W) float32, 0 to 255 for pictures of 8 bits.
    """
    pixels = np.array(picture)
    return _to_tensor(pixels[..., None] if pixels.ndim == 2 else pixels).contiguous().float()


def no_compilation(*_: object) -> None:
    """Replaces ``ReidEvaluator._compile_dependencies``, which runs make in site-packages and exits if that fails.

    The host's evaluator then ranks in Python, with the same metrics.
    """


def patch() -> None:
    """Binds every replacement. Runs once, at the first ``import xreid_plugin``."""
    HOST_DEFAULTS.MODEL.DEVICE = "auto"
    # What its report on the environment tells; 1.4.0 calls itself 1.3.
    fastreid.__version__ = HOST_VERSION
    CfgNode.load_yaml_with_base = staticmethod(load_yaml_with_base)
    for merge in (merge_from_file, merge_from_other_cfg, merge_from_list):
        setattr(CfgNode, merge.__name__, merge)
    # DefaultTrainer.train asserts, after all the work, that an evaluation has happened; without one, results are empty.
    fastreid.engine.defaults.DefaultTrainer._last_eval_results = collections.OrderedDict()
    fastreid.engine.defaults.DistributedDataParallel = distributed
    fastreid.evaluation.reid_evaluation.ReidEvaluator._compile_dependencies = no_compilation
    fastreid.data.build.DataLoaderX = DeviceLoader
    fastreid.utils.comm._serialize_to_tensor = serialize_to_tensor
    SimpleTrainer._write_metrics = write_metrics
    for replacement in (
        build_model,
        build_reid_train_loader,
        build_reid_test_loader,
        build_optimizer,
        compute_jaccard_distance,
        to_tensor,
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
