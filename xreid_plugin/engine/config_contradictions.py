"""Contradictions between configuration keys each of which is right by itself."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fastreid.config import CfgNode
from fastreid.utils import comm

from xreid_plugin.data.samplers import CrossModalityIdentitySampler
from xreid_plugin.engine.config_values import Fault
from xreid_plugin.host import resolve_device
from xreid_plugin.modeling.clip_config import MODEL_KEY, TowerShape, tiled_size, tower_shape
from xreid_plugin.registry import SAMPLER_REGISTRY

CLIP_BACKBONE = "build_clip_vision_backbone"
# The parts that FREEZE_LAYERS can name, which the host skips silently otherwise.
PARTS = {"XReID": ("backbone", "mii", "heads"), "FrameBaseline": ("image_model",)}
_WITHOUT_CPC = {"TripletLoss", "CrossEntropyLoss", "CMCL"}


def tower_faults(cfg: CfgNode) -> Iterator[Fault]:
    """A CLIP tower that there is not."""
    try:
        _tower_shape(cfg)
    except (OSError, ValueError) as error:
        rule = str(error).removeprefix(f"{MODEL_KEY}: ").rstrip(".")
        yield Fault(MODEL_KEY, cfg.MODEL.BACKBONE.CLIP_MODEL, rule, "ViT-B-16-quickgelu")


def _size_faults(cfg: CfgNode) -> Iterator[Fault]:
    train, test = list(cfg.INPUT.SIZE_TRAIN), list(cfg.INPUT.SIZE_TEST)
    shape = _tower_shape(cfg)
    if shape is None and cfg.MODEL.BACKBONE.NAME != "build_vit_backbone":
        # A convolution takes any size.
        return
    if shape is not None and tiled_size(train, shape.patch) != tuple(train):
        rule = f"it must be made of whole patches of {shape.patch} × {shape.patch} pixels"
        yield Fault("INPUT.SIZE_TRAIN", train, rule, list(tiled_size(train, shape.patch)))
        train = list(tiled_size(train, shape.patch))
    if train != test:
        rule = "the tower is built for INPUT.SIZE_TRAIN, so it must be the same"
        yield Fault("INPUT.SIZE_TEST", test, rule, train)


def _head_faults(cfg: CfgNode) -> Iterator[Fault]:
    shape, mii = _tower_shape(cfg), cfg.MODEL.MII
    used = cfg.MODEL.META_ARCHITECTURE == "XReID" and (mii.SII.ENABLED or mii.LII.ENABLED or mii.CII.ENABLED)
    if used and shape is not None and shape.width % mii.HEADS:
        works = next(heads for heads in range(min(mii.HEADS, shape.width), 0, -1) if shape.width % heads == 0)
        rule = f"it must divide {shape.width}, the width of {cfg.MODEL.BACKBONE.CLIP_MODEL}"
        yield Fault("MODEL.MII.HEADS", mii.HEADS, rule, works)


def _stride_faults(cfg: CfgNode) -> Iterator[Fault]:
    """A shift by T frames or more leaves SII's frames where they are, and wraps LII's around."""
    frames, mii = cfg.INPUT.CLIP.FRAMES, cfg.MODEL.MII
    if cfg.MODEL.META_ARCHITECTURE != "XReID":
        return
    for part in ("SII", "LII"):
        stride = mii[part].STRIDE
        if not mii[part].ENABLED or stride < frames:
            continue
        if frames == 1:
            rule = f"MODEL.MII.{part} reads across frames, so it must be above the stride"
            yield Fault("INPUT.CLIP.FRAMES", frames, rule, 10 if stride < 10 else stride + 1)
            return
        rule = f"it must be below INPUT.CLIP.FRAMES, {frames}, to reach another frame"
        yield Fault(f"MODEL.MII.{part}.STRIDE", stride, rule, 1)


def _shared_batch_faults(cfg: CfgNode) -> Iterator[Fault]:
    ranks = comm.get_world_size()
    shared = {"TEST.IMS_PER_BATCH": cfg.TEST.IMS_PER_BATCH}
    if cfg.MODEL.META_ARCHITECTURE == "XReID" and cfg.MODEL.CPC.ENABLED:
        shared["MODEL.CPC.REFRESH_BATCH"] = cfg.MODEL.CPC.REFRESH_BATCH
    for key, clips in shared.items():
        if clips < ranks:
            yield Fault(key, clips, f"it is shared by {ranks} processes", ranks)


def _training_batch_faults(cfg: CfgNode) -> Iterator[Fault]:
    sampler: Any = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)
    ranks, batch, identity = comm.get_world_size(), cfg.SOLVER.IMS_PER_BATCH, 0
    if isinstance(sampler, type) and issubclass(sampler, CrossModalityIdentitySampler):
        instances = cfg.DATALOADER.NUM_INSTANCE
        identity = 2 * instances
        step = identity * ranks
        parts = f"2 modalities × DATALOADER.NUM_INSTANCE ({instances}) × {ranks} processes"
    else:
        step, parts = ranks, f"{ranks} processes"
    if batch % step:
        rule = f"it must be a multiple of {step} ({parts})"
        yield Fault("SOLVER.IMS_PER_BATCH", batch, rule, batch + -batch % step)
    elif _rows_of_batch_norm(cfg, ranks) < 2:
        rule = "batch norm needs two rows or more, so it must be larger"
        yield Fault("SOLVER.IMS_PER_BATCH", batch, rule, 2 * step)
    elif identity == batch and "TripletLoss" in cfg.MODEL.LOSSES.NAME:
        rule = "that is one identity, where TripletLoss has no negatives and is 0, so it must be larger"
        yield Fault("SOLVER.IMS_PER_BATCH", batch, rule, 2 * step)


def _rows_of_batch_norm(cfg: CfgNode, ranks: int) -> int:
    """Of the necks: X-ReID's see the clips of all ranks, the host's the frames of one."""
    batch: int = cfg.SOLVER.IMS_PER_BATCH
    return batch if cfg.MODEL.META_ARCHITECTURE == "XReID" else batch // ranks * int(cfg.INPUT.CLIP.FRAMES)


def _loss_faults(cfg: CfgNode) -> Iterator[Fault]:
    if cfg.MODEL.META_ARCHITECTURE != "XReID":
        return
    names = tuple(cfg.MODEL.LOSSES.NAME)
    needs = (("CPCL", "MODEL.CPC.ENABLED", cfg.MODEL.CPC), ("CMCL", "MODEL.MII.CII.ENABLED", cfg.MODEL.MII.CII))
    for loss, key, part in needs:
        if loss in names and not part.ENABLED:
            yield Fault(key, False, f"MODEL.LOSSES.NAME has {loss}, which needs it: drop {loss}, or set it", True)


def _unread_prototypes_faults(cfg: CfgNode) -> Iterator[Fault]:
    # A loss of the user's own may read the prototypes.
    model = cfg.MODEL
    if model.META_ARCHITECTURE == "XReID" and model.CPC.ENABLED and _WITHOUT_CPC.issuperset(model.LOSSES.NAME):
        rule = "no loss of MODEL.LOSSES.NAME reads the prototypes: add CPCL, or switch them off"
        yield Fault("MODEL.CPC.ENABLED", True, rule, False)


def _pair_faults(cfg: CfgNode) -> Iterator[Fault]:
    if cfg.MODEL.META_ARCHITECTURE != "XReID":
        return
    sampler = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)
    wants_pairs = cfg.MODEL.MII.CII.ENABLED or "CMCL" in cfg.MODEL.LOSSES.NAME
    if wants_pairs and not getattr(sampler, "pairs", False):
        rule = (
            "its clips have no partners for MODEL.MII.CII: set MODEL.MII.CII.ENABLED False and drop CMCL from "
            "MODEL.LOSSES.NAME, or take a sampler of pairs"
        )
        works = CrossModalityIdentitySampler.__name__
        yield Fault("DATALOADER.SAMPLER_TRAIN", cfg.DATALOADER.SAMPLER_TRAIN, rule, works)


def _model_faults(cfg: CfgNode) -> Iterator[Fault]:
    model = cfg.MODEL
    if model.META_ARCHITECTURE == "XReID":
        for key, value, works in (
            ("MODEL.BACKBONE.NAME", model.BACKBONE.NAME, CLIP_BACKBONE),
            ("MODEL.HEADS.NAME", model.HEADS.NAME, "XReIDHead"),
        ):
            if value != works and value in _HOSTS_OWN[key]:
                yield Fault(key, value, "X-ReID reads the tokens of its own parts, so it must be one of them", works)
    parts = PARTS.get(model.META_ARCHITECTURE, ())
    if parts and not all(_fits_a_part(layer, parts) for layer in model.FREEZE_LAYERS):
        rule = (
            f"it must be beginnings of parameters' names, which are {'., '.join(parts)}. in {model.META_ARCHITECTURE}"
        )
        yield Fault("MODEL.FREEZE_LAYERS", model.FREEZE_LAYERS, rule, [parts[0]])


def _fits_a_part(pattern: Any, parts: tuple[str, ...]) -> bool:
    """The host takes a layer for a regular expression that a parameter's name begins with."""
    try:
        return str(pattern).split(".")[0] in parts or any(re.match(str(pattern), f"{part}.") for part in parts)
    except re.error:
        return False


_HOSTS_OWN = {
    "MODEL.BACKBONE.NAME": ("build_resnet_backbone", "build_vit_backbone", "build_osnet_backbone"),
    "MODEL.HEADS.NAME": ("EmbeddingHead", "ClasHead"),
}


def _data_faults(cfg: CfgNode) -> Iterator[Fault]:
    names, tests = tuple(cfg.DATASETS.NAMES), tuple(cfg.DATASETS.TESTS)
    if len(names) != 1:
        yield Fault("DATASETS.NAMES", names, "it must name one dataset to train on", names[:1])
    if cfg.DATASETS.AUXILIARY and {*names, *tests} != {"BUPTCampus"}:
        yield Fault("DATASETS.AUXILIARY", True, "only BUPTCampus has an auxiliary set, so it must be off", False)
    if cfg.DATASETS.COMBINEALL:
        rule = "it would train on test identities, which no task here allows, so it must be off"
        yield Fault("DATASETS.COMBINEALL", True, rule, False)
    place = Path(cfg.OUTPUT_DIR)
    blocked = next((folder for folder in (place, *place.parents) if folder.exists() and not folder.is_dir()), None)
    if blocked is not None:
        yield Fault("OUTPUT_DIR", cfg.OUTPUT_DIR, f"{blocked} is a file, so it must be elsewhere", f"{blocked}-run")


def _device_faults(cfg: CfgNode) -> Iterator[Fault]:
    name, amp = cfg.MODEL.DEVICE, cfg.SOLVER.AMP
    try:
        device = resolve_device(name)
    except ValueError:
        yield Fault("MODEL.DEVICE", name, "it must be a device that torch knows, or auto to choose", "auto")
        return
    if device.index is not None and comm.get_world_size() > 1:
        rule = f"each of {comm.get_world_size()} processes takes a device of its own, so it must have no number"
        yield Fault("MODEL.DEVICE", name, rule, device.type)
    elif device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        yield Fault("MODEL.DEVICE", name, f"this machine shows {there} CUDA devices, so it must be another", "auto")
    elif amp.ENABLED and amp.DTYPE == "float16" and device.type == "cpu":
        yield Fault("SOLVER.AMP.DTYPE", amp.DTYPE, "that needs CUDA, so on the CPU it must be another", "bfloat16")
    elif amp.ENABLED and amp.DTYPE == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        yield Fault("SOLVER.AMP.DTYPE", amp.DTYPE, "this GPU lacks it, so it must be another", "float16")


OF_ANY_JOB: tuple[Callable[[CfgNode], Iterator[Fault]], ...] = (
    _size_faults,
    _head_faults,
    _stride_faults,
    _shared_batch_faults,
    _loss_faults,
    _model_faults,
    _data_faults,
    _device_faults,
)
OF_TRAINING: tuple[Callable[[CfgNode], Iterator[Fault]], ...] = (
    _training_batch_faults,
    _unread_prototypes_faults,
    _pair_faults,
)


def _tower_shape(cfg: CfgNode) -> TowerShape | None:
    """Of the CLIP tower; None where there is none."""
    return tower_shape(cfg.MODEL.BACKBONE.CLIP_MODEL) if cfg.MODEL.BACKBONE.NAME == CLIP_BACKBONE else None
