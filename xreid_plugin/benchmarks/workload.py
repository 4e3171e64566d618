"""X-ReID at the paper's sizes, with random weights and random clips: what training and embedding are measured on."""

from typing import Any

import torch

from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS
from xreid_plugin.host import resolve_device

# Counts of HITSZ-VCM's training set.
IDENTITIES = 500
CAMERAS = tuple(range(1, 13))

# Dense peak of the tensor cores in bfloat16, floating-point operations a second, from the manufacturers' data sheets.
PEAKS = {
    "A100": 312e12,
    "A10G": 70e12,
    "H100": 989e12,
    "H200": 989e12,
    "L4": 121e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return resolve_device("auto")


def make_config(frames: int, model: str = "ViT-B-16-quickgelu", size: tuple[int, int] = (288, 144)) -> Any:
    """A complete configuration of X-ReID with fresh weights.

    Args:
        frames: T.
        model: see MODEL.BACKBONE.CLIP_MODEL.
        size: (H, W) in pixels.
    """
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "XReID"
    cfg.MODEL.BACKBONE.NAME = "build_clip_vision_backbone"
    cfg.MODEL.BACKBONE.CLIP_MODEL = model
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.BACKBONE.CAMERAS = list(CAMERAS)
    cfg.MODEL.HEADS.NAME = "XReIDHead"
    cfg.MODEL.HEADS.NUM_CLASSES = IDENTITIES
    cfg.MODEL.LOSSES.NAME = ("CPCL", "TripletLoss", "CrossEntropyLoss", "CMCL")
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = list(size)
    cfg.INPUT.CLIP.FRAMES = frames
    cfg.SOLVER.OPT = "Adam"
    cfg.SOLVER.BASE_LR = 5e-6
    return cfg


def make_batch(clips: int, frames: int, size: tuple[int, int] = (288, 144)) -> dict[str, torch.Tensor]:
    """A training batch of noise, on the device: an infrared and a visible block, two clips per identity in each."""
    pairs = clips // 2
    pids = torch.arange(pairs) // 2
    batch = {
        IMAGES: torch.randint(256, (clips, frames, 3, *size), dtype=torch.uint8),
        TARGETS: torch.cat([pids, pids]),
        CAMIDS: torch.arange(clips) % len(CAMERAS) + 1,
        MODALITIES: torch.arange(clips) // max(pairs, 1),
        INDICES: torch.arange(clips),
    }
    return {name: values.to(device()) for name, values in batch.items()}


def parse_clips(text: str) -> tuple[int, int]:
    """ "BxT" -> (B, T).

    Raises:
        ValueError: it is not a size, a number is below 1, or B is odd.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts) or int(parts[0]) % 2:
        raise ValueError(f'"{text}" is no size: write clips x frames, an even number of clips, such as 16x10')
    return int(parts[0]), int(parts[1])


def peak_flops() -> float:
    """Peak bfloat16 operations a second of the GPU in use; 0 for a CPU or a GPU that is not in the list."""
    if device().type != "cuda":
        return 0.0
    name = torch.cuda.get_device_name()
    return next((peak for known, peak in sorted(PEAKS.items(), key=lambda p: -len(p[0])) if known in name), 0.0)
