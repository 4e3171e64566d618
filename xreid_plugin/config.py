"""Every configuration key that the plugin adds to the host's: default, meaning, source and range, a row each.

Both the configuration and docs/configuration.md are made from these rows. Marks as in projects/XReID/README.md: P the
paper, C the authors' public code, D this project's decision.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastreid.config import CfgNode
from fastreid.config import get_cfg as get_host_cfg
from fastreid.config.defaults import _C as HOST_DEFAULTS

# What every configuration starts from; a module of the user's own adds its keys here, before any is read.
DEFAULTS: CfgNode = HOST_DEFAULTS


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``, both included, or all above ``least``."""

    least: float
    most: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and math.isfinite(value) and not (self.above and value == self.least)

    def __str__(self) -> str:
        if self.above:
            return f"above {self.least:g}"
        return f"at least {self.least:g}" if self.most == math.inf else f"{self.least:g} to {self.most:g}"


class Key(NamedTuple):
    """A key of the configuration.

    Attributes:
        name: full, dotted.
        default: its type is that of the key.
        meaning: in a sentence or two.
        mark: of its default; empty where there is nothing to say.
        allowed: its range, or the names that it may be; None where :mod:`xreid_plugin.checks` has more to say.
    """

    name: str
    default: Any
    meaning: str
    mark: str = ""
    allowed: Range | tuple[str, ...] | None = None


ONE_OR_MORE, ZERO_OR_MORE, SHARE, POSITIVE = Range(1), Range(0), Range(0, 1), Range(0, above=True)

KEYS: dict[str, tuple[Key, ...]] = {
    "Run": (
        Key(
            "PROCESS_TIMEOUT",
            10.0,
            "Minutes after which a process that waits for one that answers no more ends the run. The others wait while "
            "the main one ranks and re-ranks.",
            "D",
            POSITIVE,
        ),
        Key("SEED", 0, "Of weights, samplers and augmentation; -1 draws one and prints it.", "", Range(-1, 2**32 - 1)),
    ),
    "Data": (
        Key("DATASETS.ROOT", "", "The dataset's folder, or the one above; empty: FASTREID_DATASETS, else datasets."),
        Key(
            "DATASETS.MIN_TRACKLET_LENGTH",
            0,
            "Shortest tracklet that counts, in frames, in training and test. 0: the protocol's (VCM 12, BUPT 1).",
            allowed=ZERO_OR_MORE,
        ),
        Key(
            "DATASETS.PACK",
            "",
            "File that tools/pack_dataset.py made of the frames, which are then not needed; empty: loose frames.",
            "D",
        ),
        Key("DATASETS.AUXILIARY", False, "BUPTCampus: train on its auxiliary identities as well."),
        Key("DATALOADER.PREFETCH", 2, "Batches that each worker reads ahead.", "D", ONE_OR_MORE),
        Key("INPUT.CLIP.FRAMES", 10, "T, frames in a clip.", "C", ONE_OR_MORE),
        Key(
            "INPUT.BAD_FRAMES",
            "error",
            "A frame that is missing, damaged or no image: error ends the run; substitute takes the nearest readable "
            "frame of the tracklet, and sums up what was replaced.",
            "D",
            ("error", "substitute"),
        ),
        Key(
            "INPUT.REA.PER",
            "frame",
            "frame: every frame draws a rectangle to erase [C]; clip: one for all [D].",
            "C",
            ("frame", "clip"),
        ),
        Key("INPUT.REA.AREA", [0.02, 0.2], "Least and greatest share of the area that random erasing covers.", "C"),
    ),
    "Backbone": (
        Key(
            "MODEL.BACKBONE.CLIP_MODEL",
            "ViT-B-16-quickgelu",
            "open_clip's name of a ViT image tower, a JSON file in its format, or a name from modeling/clip_configs. "
            "OpenAI's weights need a quickgelu name.",
            "P, C",
        ),
        Key("MODEL.BACKBONE.CLIP_TAG", "openai", "open_clip's pretrained tag, for PRETRAIN without a path.", "C"),
        Key("MODEL.BACKBONE.CAMERAS", [], "Cameras with a learned embedding; empty: the training set's are filled in."),
        Key("MODEL.BACKBONE.CAMERA_EMBEDDING", True, "Learn a camera embedding, scaled by SIE_COE.", "C"),
        Key("MODEL.BACKBONE.SIE_COE", 1.0, "Factor on the camera embedding; the host's default is 3.0.", "C"),
        Key(
            "MODEL.BACKBONE.UNSEEN_CAMERA",
            "error",
            "A test camera that training has not seen, or of another dataset: error, or none to embed without camera.",
            "D",
            ("error", "none"),
        ),
        Key("MODEL.BACKBONE.FREEZE_PATCH", True, "Keep the patch convolution as it was pretrained.", "C"),
        Key("MODEL.BACKBONE.GRAD_CHECKPOINTING", False, "Recompute blocks backwards: slower, far less memory.", "D"),
        Key(
            "MODEL.COMPILE",
            "auto",
            "torch.compile for the tower's and MII's blocks, with a warning where it fails: always, never, or auto, "
            "which is on CUDA alone; on a CPU the compilation takes longer than most runs gain.",
            "D",
            ("auto", "always", "never"),
        ),
    ),
    "Method": (
        Key(
            "MODEL.FRAME_BASELINE.META_ARCHITECTURE",
            "Baseline",
            "The host's image model that FrameBaseline runs on clips.",
            "D",
            ("Baseline", "MGN"),
        ),
        Key("MODEL.CPC.ENABLED", True, "Cross-modality Prototype Collaboration.", "P"),
        Key("MODEL.CPC.TEMPERATURE", 0.05, "τ of CPCL.", "C", POSITIVE),
        Key("MODEL.CPC.MOMENTUM", 0.2, "μ of the update: the share of the old prototype kept.", "P; C: 0.1", SHARE),
        Key(
            "MODEL.CPC.REFRESH_EPOCHS",
            0,
            "0: the prototypes are extracted once, before the first epoch [P]; else anew before every epoch whose "
            "number this divides [C: 1].",
            "P",
            ZERO_OR_MORE,
        ),
        Key("MODEL.CPC.REFRESH_BATCH", 32, "Clips in a batch of the refresh, over all processes.", "D", ONE_OR_MORE),
        Key(
            "MODEL.CPC.UPDATE",
            "swap",
            "Which clips update a modality's memory: swap the other's [P], intra its own [P], joint both's [C].",
            "P",
            ("swap", "intra", "joint"),
        ),
        Key("MODEL.CPC.COLLABORATION", True, "Clips meet both memories in CPCL; else that of their modality.", "P"),
        Key(
            "MODEL.CPC.NEGATIVES",
            "all",
            "Identities in the denominator of CPCL: all of training [C], or those of the batch (the paper's sum).",
            "C",
            ("all", "batch"),
        ),
        Key(
            "MODEL.HEADS.TOWER_FEATURE",
            "both",
            "z, the tower's feature: both class token and projection [C], or the projected one alone (the paper's b).",
            "C",
            ("both", "projected"),
        ),
        Key("MODEL.MII.HEADS", 12, "Heads of its attention; divides the token width.", "C", ONE_OR_MORE),
        Key("MODEL.MII.MLP_RATIO", 4.0, "Width of its blocks' MLP, in token widths.", "C", POSITIVE),
        Key("MODEL.MII.DETACH", True, "MII reads the backbone's tokens with the gradient stopped.", "C"),
        Key(
            "MODEL.MII.FUSION",
            "mean",
            "mean makes one feature of SII and LII [P]; concat gives each a head of its own [D].",
            "P",
            ("mean", "concat"),
        ),
        Key("MODEL.MII.SII.ENABLED", True, "Short-term interaction.", "P"),
        Key("MODEL.MII.SII.STRIDE", 1, "Its time stride S.", "P", ONE_OR_MORE),
        Key("MODEL.MII.SII.DEPTH", 1, "Its number of blocks.", "P; C: 2", ONE_OR_MORE),
        Key("MODEL.MII.LII.ENABLED", True, "Long-term interaction.", "P"),
        Key("MODEL.MII.LII.STRIDE", 2, "Its time stride S; 0: no exchange between frames.", "P", ZERO_OR_MORE),
        Key("MODEL.MII.CII.ENABLED", True, "Cross-modality interaction, in training alone.", "P"),
    ),
    "Losses": (
        Key("MODEL.LOSSES.CPCL.SCALE", 1.0, "Weight of CPCL.", "P: a plain sum", ZERO_OR_MORE),
        Key("MODEL.LOSSES.CMCL.SCALE", 1.0, "Weight of CMCL.", "P: a plain sum", ZERO_OR_MORE),
        Key("MODEL.LOSSES.CE.CLIP_SCALE", 0.25, "Weight of each head's clip-level cross-entropy.", "C", ZERO_OR_MORE),
        Key(
            "MODEL.LOSSES.CE.FRAME_SCALE",
            1.0,
            "Weight of each head's frame-level cross-entropy: the mean over all frames, times 1/T.",
            "C",
            ZERO_OR_MORE,
        ),
    ),
    "Solver": (
        Key("SOLVER.ITERS_PER_EPOCH", 0, "0: the host's rule, tracklets // IMS_PER_BATCH.", "C: 300", ZERO_OR_MORE),
        Key(
            "SOLVER.LR_FACTORS",
            [],
            "Factors on the learning rate by parameter name: [pattern, factor] pairs, patterns as of file names; the "
            "first that fits counts.",
        ),
        Key(
            "SOLVER.AMP.DTYPE",
            "bfloat16",
            "Number type of autocast, for SOLVER.AMP.ENABLED: bfloat16 (CUDA and CPU) or float16 (CUDA, scaled).",
            allowed=("bfloat16", "float16"),
        ),
        Key("SOLVER.COMPRESS_GRADIENTS", False, "Several processes send gradients as bfloat16: half the bytes.", "D"),
        Key("SOLVER.CHECKPOINT_KEEP", 0, "How many of the newest checkpoints stay; 0: all.", "D", ZERO_OR_MORE),
        Key("SOLVER.LOG_PERIOD", 50, "Iterations between two lines of the log.", "", ONE_OR_MORE),
    ),
    "Test": (
        Key(
            "TEST.FRAMES",
            "even",
            "even: T frames, one from each of T chunks; dense: every frame, in clips of T, averaged.",
            "C",
            ("even", "dense"),
        ),
        Key(
            "TEST.SAME_CAMERA",
            "exclude",
            "exclude: gallery tracklets of the query's identity and camera do not count; keep: they do.",
            allowed=("exclude", "keep"),
        ),
        Key("TEST.EVAL_AT_START", False, "Evaluate before the first iteration as well."),
        Key(
            "TEST.SAVE_FEATURES",
            "",
            "File (.npz) of every evaluation's features, for tools/evaluate_features.py; empty: none. With several "
            "test sets its name begins with the set's.",
            "D",
        ),
        Key("TEST.RERANK.TEMPORAL.ENABLED", False, "Rank by whole tracklets and their halves, too.", "D"),
        Key("TEST.RERANK.TEMPORAL.K1", 5, "Its neighbours that make an encoding.", "D", ONE_OR_MORE),
        Key("TEST.RERANK.TEMPORAL.K2", 3, "Its neighbours over which encodings are averaged.", "D", ONE_OR_MORE),
        Key("TEST.RERANK.TEMPORAL.LAMBDA1", 0.8, "Weight of the distance before it.", "D", SHARE),
        Key("TEST.RERANK.TEMPORAL.LAMBDA2", 0.1, "Weight of each of the two comparisons of halves.", "D", ZERO_OR_MORE),
    ),
}


def get_cfg() -> CfgNode:
    """The host's defaults, which have the plugin's keys since it was imported: what every tool here starts from."""
    return get_host_cfg()


def add_xreid_config(cfg: CfgNode) -> None:
    """Adds the plugin's keys to ``cfg``, in place."""
    for key in (key for keys in KEYS.values() for key in keys):
        *groups, name = key.name.split(".")
        node = cfg
        for group in groups:
            node = node.setdefault(group, CfgNode())
        # Every configuration has a list of its own.
        node[name] = list(key.default) if isinstance(key.default, list) else key.default
