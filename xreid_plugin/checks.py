"""What is wrong with a configuration, all of it found at once and before any data is read.

Types are checked where files and command lines are merged; here are ranges, names, and contradictions between keys each
of which is right by itself.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import torch
from fastreid.config import CfgNode
from fastreid.modeling.backbones.build import BACKBONE_REGISTRY
from fastreid.modeling.heads.build import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils import comm
from fastreid.utils.registry import Registry

from xreid_plugin.config import KEYS, ONE_OR_MORE, POSITIVE, SHARE, Range
from xreid_plugin.data.datasets.base import tracklet_dataset
from xreid_plugin.data.samplers import CrossModalityIdentitySampler
from xreid_plugin.host import resolve_device
from xreid_plugin.modeling.clip_config import read_vision_config, tiled_size
from xreid_plugin.registry import LOSS_REGISTRY, SAMPLER_REGISTRY

# Of the host's keys, as of the plugin's in xreid_plugin/config.py; torch and the host refuse other wrong values.
HOST_ALLOWED: dict[str, Range | tuple[str, ...]] = {
    "SOLVER.MAX_EPOCH": ONE_OR_MORE,
    "SOLVER.CHECKPOINT_PERIOD": ONE_OR_MORE,
    "SOLVER.IMS_PER_BATCH": ONE_OR_MORE,
    "SOLVER.BASE_LR": POSITIVE,
    "SOLVER.SCHED": ("MultiStepLR", "CosineAnnealingLR"),
    "DATALOADER.NUM_INSTANCE": ONE_OR_MORE,
    "DATALOADER.NUM_WORKERS": Range(-1),
    "INPUT.FLIP.PROB": SHARE,
    "INPUT.REA.PROB": SHARE,
    "TEST.IMS_PER_BATCH": ONE_OR_MORE,
    "TEST.RERANK.K1": ONE_OR_MORE,
    "TEST.RERANK.K2": ONE_OR_MORE,
    "TEST.RERANK.LAMBDA": SHARE,
    "TEST.AQE.QE_K": ONE_OR_MORE,
}

CLIP_BACKBONE = "build_clip_vision_backbone"
_HOST_LOSSES = ("CrossEntropyLoss", "TripletLoss", "CircleLoss", "Cosface")
# The host's, which give X-ReID no tokens.
_OF_IMAGES = ("build_resnet_backbone", "build_vit_backbone", "build_osnet_backbone")
# With which the names of a model's parameters begin.
_PARTS = {"XReID": ("backbone", "mii", "heads"), "FrameBaseline": ("image_model",)}
# An evaluation does not read them.
_OF_TRAINING = ("SOLVER.", "DATALOADER.SAMPLER_TRAIN", "DATALOADER.NUM_INSTANCE")

# A key and what must hold for it.
Fault = tuple[str, str]


def check_config(cfg: CfgNode, training: bool = True) -> None:
    """Finds what is wrong before any data is read.

    Args:
        cfg: merged.
        training: False for an evaluation, which what training alone reads does not concern.

    Raises:
        ValueError: a line for each fault, with the key, its value and what must hold.
    """
    faults = [fault for check in OF_SINGLE_KEYS for fault in check(cfg)]
    # What a wrong value leads to is no fault of its own.
    faults = faults or [fault for check in OF_SEVERAL_KEYS for fault in check(cfg)]
    if training and not faults:
        faults = [fault for check in OF_TRAINING for fault in check(cfg)]
    concern = [fault for fault in faults if training or not fault[0].startswith(_OF_TRAINING)]
    if concern:
        raise ValueError("\n".join(f"{key} is {attrgetter(key)(cfg)!r}; it must {rule}." for key, rule in concern))


def _ranges(cfg: CfgNode) -> Iterator[Fault]:
    allowed = {key.name: key.allowed for keys in KEYS.values() for key in keys} | HOST_ALLOWED
    for name, values in allowed.items():
        if values is not None and attrgetter(name)(cfg) not in values:
            yield name, f"be {values}" if isinstance(values, Range) else f"be one of {', '.join(values)}"


def _pictures(cfg: CfgNode) -> Iterator[Fault]:
    for key, size in (("INPUT.SIZE_TRAIN", cfg.INPUT.SIZE_TRAIN), ("INPUT.SIZE_TEST", cfg.INPUT.SIZE_TEST)):
        if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
            yield key, "be height and width in pixels, whole numbers above 0"


def _names(cfg: CfgNode) -> Iterator[Fault]:
    registries: dict[str, Registry] = {
        "MODEL.META_ARCHITECTURE": META_ARCH_REGISTRY,
        "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
        "MODEL.HEADS.NAME": REID_HEADS_REGISTRY,
        "DATALOADER.SAMPLER_TRAIN": SAMPLER_REGISTRY,
    }
    for key, registry in registries.items():
        if not _is_in(registry, attrgetter(key)(cfg)):
            yield key, "be an entry of its registry"
    if cfg.MODEL.META_ARCHITECTURE in ("Baseline", "MGN", "Distiller", "MoCo"):
        yield "MODEL.META_ARCHITECTURE", "take clips, as XReID does, or FrameBaseline for the host's Baseline and MGN"
    if not isinstance(getattr(torch.optim, cfg.SOLVER.OPT, None), type):
        yield "SOLVER.OPT", "be an optimiser of torch.optim, such as Adam"
    losses: Sequence[str] = cfg.MODEL.LOSSES.NAME
    known = {"XReID": lambda name: _is_in(LOSS_REGISTRY, name), "FrameBaseline": _HOST_LOSSES.__contains__}
    if not losses or not all(map(known.get(cfg.MODEL.META_ARCHITECTURE, bool), losses)):
        yield "MODEL.LOSSES.NAME", "be losses that are registered, one or more"
    for key in ("DATASETS.NAMES", "DATASETS.TESTS"):
        names = attrgetter(key)(cfg)
        if not names or any(tracklet_dataset(name) is None for name in names):
            yield key, "name datasets of tracklets, such as HITSZVCM or BUPTCampus"


def _is_in(registry: Registry, name: str) -> bool:
    try:
        registry.get(name)
    except KeyError:
        return False
    return True


def _sizes(cfg: CfgNode) -> Iterator[Fault]:
    """A tower reads whole patches, of one size; a convolution reads any."""
    train, test = tuple(cfg.INPUT.SIZE_TRAIN), tuple(cfg.INPUT.SIZE_TEST)
    tower = None
    try:
        if cfg.MODEL.BACKBONE.NAME == CLIP_BACKBONE:
            tower = read_vision_config(cfg.MODEL.BACKBONE.CLIP_MODEL)
    except (OSError, ValueError) as error:
        yield "MODEL.BACKBONE.CLIP_MODEL", f"be a tower that there is ({error})"
        return
    if tower is not None and tiled_size(train, tower.patch_size) != train:
        nearest = list(tiled_size(train, tower.patch_size))
        yield "INPUT.SIZE_TRAIN", f"be made of whole patches of {tower.patch_size} pixels, such as {nearest}"
    elif train != test and (tower is not None or cfg.MODEL.BACKBONE.NAME == "build_vit_backbone"):
        yield "INPUT.SIZE_TEST", "be INPUT.SIZE_TRAIN, for which the tower is built"
    interacts = _is_xreid(cfg) and any(cfg.MODEL.MII[part].ENABLED for part in ("SII", "LII", "CII"))
    if interacts and tower is not None and tower.width % cfg.MODEL.MII.HEADS:
        yield "MODEL.MII.HEADS", f"divide {tower.width}, the tower's width"


def _strides(cfg: CfgNode) -> Iterator[Fault]:
    """A shift by T frames or more leaves SII's frames where they are, and wraps LII's around."""
    for part in ("SII", "LII") if _is_xreid(cfg) else ():
        if cfg.MODEL.MII[part].ENABLED and cfg.MODEL.MII[part].STRIDE >= cfg.INPUT.CLIP.FRAMES:
            yield f"MODEL.MII.{part}.STRIDE", "be below INPUT.CLIP.FRAMES, to reach another frame"


def _parts(cfg: CfgNode) -> Iterator[Fault]:
    model = cfg.MODEL
    needs = {"CPCL": "MODEL.CPC.ENABLED", "CMCL": "MODEL.MII.CII.ENABLED"}
    for loss, key in needs.items() if _is_xreid(cfg) else ():
        if loss in model.LOSSES.NAME and not attrgetter(key)(cfg):
            yield key, f"be True for {loss} of MODEL.LOSSES.NAME"
    if _is_xreid(cfg) and model.BACKBONE.NAME in _OF_IMAGES:
        yield "MODEL.BACKBONE.NAME", f"give tokens to X-ReID, as {CLIP_BACKBONE} does"
    parts = _PARTS.get(model.META_ARCHITECTURE, ())
    # The host skips a pattern silently that fits no parameter.
    if parts and not {layer.partition(".")[0] for layer in model.FREEZE_LAYERS} <= set(parts):
        yield "MODEL.FREEZE_LAYERS", f"name parts of the model, or modules in them: {', '.join(parts)}"


def _data(cfg: CfgNode) -> Iterator[Fault]:
    if len(cfg.DATASETS.NAMES) != 1:
        yield "DATASETS.NAMES", "name one dataset to train on"
    if cfg.DATASETS.AUXILIARY and {*cfg.DATASETS.NAMES, *cfg.DATASETS.TESTS} != {"BUPTCampus"}:
        yield "DATASETS.AUXILIARY", "be False: only BUPTCampus has an auxiliary set"
    if cfg.DATASETS.COMBINEALL:
        yield "DATASETS.COMBINEALL", "be False: it would train on test identities"


def _device(cfg: CfgNode) -> Iterator[Fault]:
    amp = cfg.SOLVER.AMP
    try:
        device = resolve_device(cfg.MODEL.DEVICE)
    except ValueError:
        yield "MODEL.DEVICE", "be a device that torch knows, or auto"
        return
    if device.index is not None and comm.get_world_size() > 1:
        yield "MODEL.DEVICE", "have no number, as each process takes a device of its own"
    elif device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        yield "MODEL.DEVICE", f"be one of this machine's {torch.cuda.device_count()} CUDA devices, or auto"
    elif amp.ENABLED and amp.DTYPE == "float16" and device.type == "cpu":
        yield "SOLVER.AMP.DTYPE", "be bfloat16 on the CPU"


def _batches(cfg: CfgNode) -> Iterator[Fault]:
    sampler: Any = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)
    of_identities = isinstance(sampler, type) and issubclass(sampler, CrossModalityIdentitySampler)
    ranks, batch = comm.get_world_size(), cfg.SOLVER.IMS_PER_BATCH
    identity = 2 * cfg.DATALOADER.NUM_INSTANCE if of_identities else 1
    # X-ReID's necks see the clips of all processes, the host's the frames of one.
    rows = batch if _is_xreid(cfg) else batch // ranks * cfg.INPUT.CLIP.FRAMES
    if batch % (identity * ranks):
        parts = f"{identity} clips of an identity (2 × DATALOADER.NUM_INSTANCE) × {ranks} processes"
        yield "SOLVER.IMS_PER_BATCH", f"be a multiple of {identity * ranks}: {parts}"
    elif rows < 2:
        yield "SOLVER.IMS_PER_BATCH", "be larger: batch norm needs two rows"
    elif of_identities and batch == identity and "TripletLoss" in cfg.MODEL.LOSSES.NAME:
        yield "SOLVER.IMS_PER_BATCH", "be larger: TripletLoss has no negatives in one identity"


def _pairs(cfg: CfgNode) -> Iterator[Fault]:
    has_pairs = getattr(SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN), "pairs", False)
    if _is_xreid(cfg) and cfg.MODEL.MII.CII.ENABLED and not has_pairs:
        yield "DATALOADER.SAMPLER_TRAIN", "give pairs for MODEL.MII.CII, which can be switched off"


def _is_xreid(cfg: CfgNode) -> bool:
    return bool(cfg.MODEL.META_ARCHITECTURE == "XReID")


Check = Callable[[CfgNode], Iterator[Fault]]
OF_SINGLE_KEYS: tuple[Check, ...] = (_ranges, _pictures, _names)
OF_SEVERAL_KEYS: tuple[Check, ...] = (_sizes, _strides, _parts, _data, _device)
OF_TRAINING: tuple[Check, ...] = (_batches, _pairs)
