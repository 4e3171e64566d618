"""Every configuration key that the plugin adds to the host's, with its meaning, range and source.

Marks as in projects/XReID/README.md: [P] the paper, [C] the authors' public code, [D] this project's decision.
"""

from fastreid.config import CfgNode
from fastreid.config import get_cfg as get_host_cfg
from fastreid.config.defaults import _C as HOST_DEFAULTS

# What every configuration starts from; a module of the user's own adds its keys here, before any is read.
DEFAULTS: CfgNode = HOST_DEFAULTS


def get_cfg() -> CfgNode:
    """The host's defaults, which have the plugin's keys since it was imported: what every tool here starts from."""
    return get_host_cfg()


def add_xreid_config(cfg: CfgNode) -> None:
    """Adds the plugin's keys to ``cfg``, in place."""
    # Seed of weights, samplers and augmentation; -1 draws one and prints it.
    cfg.SEED = 0
    _add_data(cfg)
    _add_backbone(cfg)
    _add_method(cfg)
    _add_losses(cfg)
    _add_solver(cfg)
    _add_test(cfg)


def _add_data(cfg: CfgNode) -> None:
    # Folder of the dataset, or the folder that holds it. Empty: the environment's FASTREID_DATASETS, else "datasets".
    cfg.DATASETS.ROOT = ""
    # Shortest tracklet that counts, in frames, in training and test. 0: the dataset's rule (VCM 12, BUPT 1).
    cfg.DATASETS.MIN_TRACKLET_LENGTH = 0
    # File that tools/pack_dataset.py made of the dataset's frames; the loose ones are then not needed. Empty: loose
    # frames. [D]
    cfg.DATASETS.PACK = ""
    # BUPTCampus: train on its auxiliary identities as well.
    cfg.DATASETS.AUXILIARY = False

    # Batches that each worker reads ahead, at least 1. The host's DATALOADER.NUM_WORKERS may be -1 as well: as many as
    # this process's share of the cores, at most 8. [D]
    cfg.DATALOADER.PREFETCH = 2

    cfg.INPUT.CLIP = CfgNode()
    # T, frames in a clip; at least 1. [C]
    cfg.INPUT.CLIP.FRAMES = 10
    # What to do with a frame that is missing, truncated, damaged or not an image: "error" ends the run; "substitute"
    # takes the nearest readable frame of the tracklet, and another of the identity's tracklets where it has none, and
    # sums up what was replaced after every epoch, refresh and evaluation. [D]
    cfg.INPUT.BAD_FRAMES = "error"
    # "frame": every frame draws its own erased rectangle [C]; "clip": one for the whole clip [D]. Uses INPUT.REA.
    cfg.INPUT.REA.PER = "frame"
    # Least and greatest share of the area that random erasing covers. [C]
    cfg.INPUT.REA.AREA = [0.02, 0.2]


def _add_backbone(cfg: CfgNode) -> None:
    backbone = cfg.MODEL.BACKBONE
    # open_clip's name of a ViT image tower, the path of a JSON in its format, or a name from modeling/clip_configs.
    # OpenAI's weights need a "quickgelu" name. [P][C]
    backbone.CLIP_MODEL = "ViT-B-16-quickgelu"
    # open_clip's pretrained tag, for PRETRAIN without a PRETRAIN_PATH. [C]
    backbone.CLIP_TAG = "openai"
    # Camera numbers of the training set, which have a learned embedding each; the trainer fills it in. Empty: none.
    backbone.CAMERAS = []
    # Learn a camera embedding, scaled by SIE_COE. [C]
    backbone.CAMERA_EMBEDDING = True
    # Factor on the camera embedding. The host's default, 3.0, is of its own transformer, which uses none. [C]
    backbone.SIE_COE = 1.0
    # A test camera that training has not seen, or of another dataset, whatever its number: "error", or "none" to embed
    # its frames without a camera. [D]
    backbone.UNSEEN_CAMERA = "error"
    # Keep the patch convolution as it was pretrained. [C]
    backbone.FREEZE_PATCH = True
    # Recompute each transformer block in the backward pass instead of keeping it: slower, in far less memory. [D]
    backbone.GRAD_CHECKPOINTING = False
    # Compile the tower's and MII's blocks with torch.compile; where that does not work, a warning says so. [D]
    cfg.MODEL.COMPILE = False


def _add_method(cfg: CfgNode) -> None:
    # The host's image model that FrameBaseline runs on clips: Baseline or MGN. [D]
    cfg.MODEL.FRAME_BASELINE = CfgNode({"META_ARCHITECTURE": "Baseline"})

    cpc = cfg.MODEL.CPC = CfgNode()
    # Cross-modality Prototype Collaboration. [P]
    cpc.ENABLED = True
    # τ of CPCL. [C]
    cpc.TEMPERATURE = 0.05
    # μ of the update: the share of the old prototype that is kept, 0 to 1. [C]
    cpc.MOMENTUM = 0.1
    # The prototypes are extracted anew before every epoch whose number this divides. [C]
    cpc.REFRESH_EPOCHS = 1
    # Clips in a batch of the refresh, over all processes; halved by itself where they do not fit into memory. [D]
    cpc.REFRESH_BATCH = 32
    # Which clips update a modality's memory: "joint" both modalities' [C], "intra" its own, "swap" the other's. [D]
    cpc.UPDATE = "joint"

    mii = cfg.MODEL.MII = CfgNode()
    # Heads of its attention; divides the token width. [C]
    mii.HEADS = 12
    # Width of its blocks' MLP, in token widths. [C]
    mii.MLP_RATIO = 4.0
    # MII reads the backbone's tokens with the gradient stopped. [C]
    mii.DETACH = True
    # Short-term interaction, its time stride S [P] and its number of blocks [C].
    mii.SII = CfgNode({"ENABLED": True, "STRIDE": 1, "DEPTH": 2})
    # Long-term interaction and its time stride S. [P]
    mii.LII = CfgNode({"ENABLED": True, "STRIDE": 1})
    # Cross-modality interaction, in training alone. [P]
    mii.CII = CfgNode({"ENABLED": True})


def _add_losses(cfg: CfgNode) -> None:
    losses = cfg.MODEL.LOSSES
    # Weight of CPCL. [P: a plain sum]
    losses.CPCL = CfgNode({"SCALE": 1.0})
    # Weights of CMCL's two parts and its temperature θ. [D]
    losses.CMCL = CfgNode({"ALIGN": 1.0, "TRANSFER": 1.0, "TEMPERATURE": 4.0})
    # Weight of each branch's clip-level cross-entropy. [C]
    losses.CE.CLIP_SCALE = 0.25
    # Weight of the mean over frames of each branch's frame-level cross-entropy. [C]
    losses.CE.FRAME_SCALE = 1.0


def _add_solver(cfg: CfgNode) -> None:
    # Iterations of an epoch; 0: the host's rule, tracklets // IMS_PER_BATCH. [C: 300]
    cfg.SOLVER.ITERS_PER_EPOCH = 0
    # Factors on the learning rate by parameter name: [pattern, factor] pairs, patterns as of file names; the first that
    # fits counts.
    cfg.SOLVER.LR_FACTORS = []
    # Number type of autocast, for SOLVER.AMP.ENABLED: "bfloat16" (CUDA and CPU) or "float16" (CUDA, gradients scaled).
    cfg.SOLVER.AMP.DTYPE = "bfloat16"
    # How many of the checkpoints of SOLVER.CHECKPOINT_PERIOD stay, the newest; 0: all. model_final stays anyway. [D]
    cfg.SOLVER.CHECKPOINT_KEEP = 0
    # Iterations between two lines of the log.
    cfg.SOLVER.LOG_PERIOD = 50


def _add_test(cfg: CfgNode) -> None:
    # "even": T frames, one from each of T equal chunks; "dense": every frame, in clips of T, averaged. [C]
    cfg.TEST.FRAMES = "even"
    # "exclude": gallery tracklets of the query's identity and camera do not count; "keep": they do.
    cfg.TEST.SAME_CAMERA = "exclude"
    # Evaluate before the first iteration as well, for the table at the end.
    cfg.TEST.EVAL_AT_START = False
    # File (.npz) that every evaluation saves its features to, for tools/evaluate_features.py; empty: none. With several
    # test sets the file's name begins with the set's. [D]
    cfg.TEST.SAVE_FEATURES = ""
    # Rank by whole tracklets and their halves too, beside the raw figures and those of TEST.RERANK: temporal re-ranking
    # of BUPTCampus's authors, with their neighbours K1, K2 and weights λ1 (0 to 1), λ2 (at least 0). [D]
    cfg.TEST.RERANK.TEMPORAL = CfgNode({"ENABLED": False, "K1": 5, "K2": 3, "LAMBDA1": 0.8, "LAMBDA2": 0.1})
