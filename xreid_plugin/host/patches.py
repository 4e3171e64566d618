"""Binds every replacement to the host's names."""

import collections
import sys
from typing import Any

import fastreid.data.build
import fastreid.engine.defaults
import fastreid.evaluation.reid_evaluation
import fastreid.utils.comm
from fastreid.config import CfgNode
from fastreid.config.defaults import _C as HOST_DEFAULTS
from fastreid.engine.train_loop import SimpleTrainer

from xreid_plugin.host.checkpoints import Checkpointer
from xreid_plugin.host.configuration import (
    load_yaml_with_base,
    merge_from_file,
    merge_from_list,
    merge_from_other_cfg,
)
from xreid_plugin.host.evaluation import (
    compute_euclidean_distance,
    compute_jaccard_distance,
    no_compilation,
    to_tensor,
)
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


def patch() -> None:
    """Binds every replacement. Runs once, at the first ``import xreid_plugin``."""
    HOST_DEFAULTS.MODEL.DEVICE = "auto"
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
        compute_euclidean_distance,
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
