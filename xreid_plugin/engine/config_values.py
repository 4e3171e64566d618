"""What a single configuration key may be: its range, or the names that are known.

Values have the types of the defaults already (see :mod:`xreid_plugin.config_merge`).
"""

import math
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from fastreid.config import CfgNode
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.modeling.backbones.build import BACKBONE_REGISTRY
from fastreid.modeling.heads.build import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils.registry import Registry

from xreid_plugin.config_merge import nearest, quoted
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.modeling.prototypes import UPDATES
from xreid_plugin.registry import LOSS_REGISTRY, SAMPLER_REGISTRY


class Fault(NamedTuple):
    """A key that cannot stay as it is.

    Attributes:
        key: its full dotted name.
        value: that it has.
        rule: what must hold; follows "it must" or, where it has a subject of its own, a semicolon.
        works: a value with which the rule holds.
    """

    key: str
    value: Any
    rule: str
    works: Any

    def __str__(self) -> str:
        return f"{self.key} is {quoted(self.value)}; {self.rule}, such as {self.works!r}."


class Range(NamedTuple):
    """Numbers that a key may have, and one of them."""

    least: float
    works: Any
    most: float = math.inf
    open: bool = False
    # Whether infinity is one.
    infinite: bool = False

    @property
    def rule(self) -> str:
        """The range in words."""
        if self.open:
            return f"it must be above {self.least}"
        words = f"at least {self.least}" if self.most == math.inf else f"{self.least} to {self.most}"
        return f"it must be {words}"

    def holds(self, value: float) -> bool:
        """Whether the number is within the range, and finite where it must be."""
        above = value > self.least if self.open else value >= self.least
        return above and value <= self.most and (self.infinite or math.isfinite(value))


RANGES = {
    **dict.fromkeys(
        ("MODEL.CPC.REFRESH_EPOCHS", "MODEL.MII.SII.STRIDE", "MODEL.MII.SII.DEPTH", "MODEL.MII.LII.STRIDE"),
        Range(1, 1),
    ),
    **dict.fromkeys(("SOLVER.MAX_EPOCH", "SOLVER.CHECKPOINT_PERIOD", "SOLVER.LOG_PERIOD"), Range(1, 1)),
    **dict.fromkeys(("SOLVER.IMS_PER_BATCH", "TEST.IMS_PER_BATCH"), Range(1, 16)),
    "MODEL.CPC.REFRESH_BATCH": Range(1, 32),
    "MODEL.MII.HEADS": Range(1, 4),
    "INPUT.CLIP.FRAMES": Range(1, 10),
    "DATALOADER.NUM_INSTANCE": Range(1, 2),
    "MODEL.CPC.TEMPERATURE": Range(0, 0.05, open=True),
    "MODEL.LOSSES.CMCL.TEMPERATURE": Range(0, 4.0, open=True),
    "MODEL.MII.MLP_RATIO": Range(0, 4.0, open=True),
    "SOLVER.BASE_LR": Range(0, 0.0003, open=True),
    **dict.fromkeys(("MODEL.LOSSES.CPCL.SCALE", "MODEL.LOSSES.TRI.SCALE", "MODEL.LOSSES.CE.SCALE"), Range(0, 1.0)),
    **dict.fromkeys(("MODEL.LOSSES.CMCL.ALIGN", "MODEL.LOSSES.CMCL.TRANSFER"), Range(0, 1.0)),
    "MODEL.LOSSES.CE.CLIP_SCALE": Range(0, 0.25),
    "MODEL.LOSSES.CE.FRAME_SCALE": Range(0, 1.0),
    "MODEL.LOSSES.TRI.MARGIN": Range(0, 0.3),
    **dict.fromkeys(("SOLVER.BIAS_LR_FACTOR", "SOLVER.HEADS_LR_FACTOR"), Range(0, 1.0)),
    **dict.fromkeys(("SOLVER.WEIGHT_DECAY", "SOLVER.WEIGHT_DECAY_BIAS", "SOLVER.WEIGHT_DECAY_NORM"), Range(0, 0.0001)),
    **dict.fromkeys(("SOLVER.WARMUP_ITERS", "SOLVER.DELAY_EPOCHS", "SOLVER.FREEZE_ITERS"), Range(0, 0)),
    "SOLVER.ETA_MIN_LR": Range(0, 1e-7),
    "SOLVER.GAMMA": Range(0, 0.1, open=True),
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": Range(0, 5.0, open=True),
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": Range(0, 2.0, open=True, infinite=True),
    "SOLVER.ITERS_PER_EPOCH": Range(0, 300),
    "SOLVER.CHECKPOINT_KEEP": Range(0, 3),
    "DATALOADER.NUM_WORKERS": Range(-1, 2),
    "DATALOADER.PREFETCH": Range(1, 2),
    "DATASETS.MIN_TRACKLET_LENGTH": Range(0, 0),
    "MODEL.HEADS.NUM_CLASSES": Range(0, 0),
    "MODEL.CPC.MOMENTUM": Range(0, 0.1, 1),
    "SOLVER.MOMENTUM": Range(0, 0.9, 1),
    "SOLVER.WARMUP_FACTOR": Range(0, 0.1, 1),
    "INPUT.PADDING.SIZE": Range(0, 10),
    **dict.fromkeys(("INPUT.FLIP.PROB", "INPUT.REA.PROB", "INPUT.CJ.PROB"), Range(0, 0.5, 1)),
    **dict.fromkeys(("INPUT.CJ.BRIGHTNESS", "INPUT.CJ.CONTRAST", "INPUT.CJ.SATURATION"), Range(0, 0.15)),
    "INPUT.CJ.HUE": Range(0, 0.1, 0.5),
    **dict.fromkeys(("TEST.RERANK.K1", "TEST.RERANK.TEMPORAL.K1"), Range(1, 20)),
    **dict.fromkeys(("TEST.RERANK.K2", "TEST.RERANK.TEMPORAL.K2"), Range(1, 6)),
    "TEST.RERANK.LAMBDA": Range(0, 0.3, 1),
    "TEST.RERANK.TEMPORAL.LAMBDA1": Range(0, 0.8, 1),
    "TEST.RERANK.TEMPORAL.LAMBDA2": Range(0, 0.1),
    "TEST.AQE.QE_TIME": Range(1, 1),
    "TEST.AQE.QE_K": Range(1, 5),
    "TEST.AQE.ALPHA": Range(0, 3.0),
    # NumPy takes no other; below 0 one is drawn.
    "SEED": Range(-1, 0, 2**32 - 1),
}

FIXED_NAMES: dict[str, Sequence[str]] = {
    "TEST.FRAMES": ("even", "dense"),
    "TEST.SAME_CAMERA": ("exclude", "keep"),
    "MODEL.BACKBONE.UNSEEN_CAMERA": ("error", "none"),
    "MODEL.CPC.UPDATE": UPDATES,
    "INPUT.REA.PER": ("frame", "clip"),
    "INPUT.BAD_FRAMES": ("error", "substitute"),
    "SOLVER.AMP.DTYPE": ("bfloat16", "float16"),
    "SOLVER.SCHED": ("MultiStepLR", "CosineAnnealingLR"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("norm", "value"),
    "MODEL.FRAME_BASELINE.META_ARCHITECTURE": ("Baseline", "MGN"),
}

# They take single images; FrameBaseline runs the first two on clips.
IMAGE_MODELS = ("Baseline", "MGN", "Distiller", "MoCo")

REGISTERED: dict[str, Registry] = {
    "MODEL.META_ARCHITECTURE": META_ARCH_REGISTRY,
    "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
    "MODEL.HEADS.NAME": REID_HEADS_REGISTRY,
    "DATALOADER.SAMPLER_TRAIN": SAMPLER_REGISTRY,
}

# The host's, in its Baseline; only the X-ReID architecture asks the registry.
HOST_LOSSES = ("CrossEntropyLoss", "TripletLoss", "CircleLoss", "Cosface")

# LBFGS asks for a closure, SparseAdam for sparse gradients, Muon for matrices alone.
_OTHER_OPTIMIZERS = ("LBFGS", "Muon", "SparseAdam")


def range_faults(cfg: CfgNode) -> Iterator[Fault]:
    """Numbers out of their range."""
    for key, allowed in RANGES.items():
        value = attrgetter(key)(cfg)
        if not allowed.holds(value):
            yield Fault(key, value, allowed.rule, allowed.works)


def name_faults(cfg: CfgNode) -> Iterator[Fault]:
    """Names that nothing goes by."""
    # Registries are asked now, since an entry may be added after this module is imported.
    choices = FIXED_NAMES | {
        key: sorted(name for name in registry._obj_map if name not in IMAGE_MODELS)
        for key, registry in REGISTERED.items()
    }
    for key, known in (choices | {"SOLVER.OPT": _optimizers()}).items():
        value = attrgetter(key)(cfg)
        if value not in known:
            yield _unknown_name(key, value, known)
    losses = {"XReID": sorted(LOSS_REGISTRY._obj_map), "FrameBaseline": HOST_LOSSES}
    if cfg.MODEL.META_ARCHITECTURE in losses:
        yield from _list_faults("MODEL.LOSSES.NAME", cfg.MODEL.LOSSES.NAME, losses[cfg.MODEL.META_ARCHITECTURE])
    video = sorted(name for name, kind in DATASET_REGISTRY._obj_map.items() if _is_video(kind))
    for key in ("DATASETS.NAMES", "DATASETS.TESTS"):
        yield from _list_faults(key, attrgetter(key)(cfg), video)


def _unknown_name(key: str, value: Any, known: Sequence[str]) -> Fault:
    shown = ", ".join(known) if len(known) <= 8 else f"{', '.join(known[:6])} and {len(known) - 6} others"
    near = nearest(str(value), known) or known[0]
    return Fault(key, value, f"it must be one of {shown}", near)


def _list_faults(key: str, names: Sequence[Any], known: Sequence[str]) -> Iterator[Fault]:
    if not names:
        yield Fault(key, tuple(names), f"it must name one or more of {', '.join(known)}", (known[0],))
    elif any(name not in known for name in names):
        mended = tuple(n if n in known else nearest(str(n), known) or known[0] for n in names)
        yield Fault(key, tuple(names), f"its names must be of {', '.join(known)}", tuple(dict.fromkeys(mended)))
    elif len(set(names)) < len(names):
        yield Fault(key, tuple(names), "each of its names must stand there once", tuple(dict.fromkeys(names)))


def _is_video(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, VideoCrossModalityDataset)


def _optimizers() -> list[str]:
    kinds = {name: getattr(torch.optim, name) for name in dir(torch.optim)}
    return sorted(
        name
        for name, kind in kinds.items()
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and name not in ("Optimizer", *_OTHER_OPTIMIZERS)
    )
