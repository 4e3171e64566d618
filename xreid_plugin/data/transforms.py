"""Frames to the pixels of a clip: uint8 throughout, with one random draw for the whole clip.

Frames are (T, H, W, 3) uint8. A clip is (T, 3, H, W) uint8, RGB, 0 to 255, contiguous in the CPU's memory; it is
normalised on the device, by the model.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F


def to_planes(frames: np.ndarray, clip: torch.Tensor, mirrored: bool = False) -> None:
    """Writes decoded frames to a clip's place, with left and right changed or not: the one copy before the batch."""
    planes = clip.numpy()
    for frame, (red, green, blue) in zip(frames, planes, strict=True):
        cv2.split(frame, (red, green, blue))
    if mirrored:
        rows = planes.reshape(-1, planes.shape[-1])
        cv2.flip(rows, 1, dst=rows)


@dataclass(frozen=True)
class ClipAugmentation:
    """Random changes to a training clip.

    Flip, crop and colour are drawn once for the clip, since a person does not turn around or change clothes between
    two frames; erasing is drawn per frame, as occlusion moves, or per clip.

    Attributes:
        flip: probability of a horizontal flip, 0 to 1.
        padding: pixels of black added on every side before a random crop back to the size; 0 for no crop.
        jitter: greatest relative change of brightness, contrast and saturation, and of the hue in turns.
        jitter_prob: probability of a change of colour, 0 to 1.
        erase: probability of erasing, 0 to 1, per draw.
        erase_per: "frame" or "clip".
        erase_area: least and greatest share of the frame that is erased.
        erase_value: RGB of the erased rectangle, 0 to 255.
    """

    flip: float = 0.0
    padding: int = 0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_prob: float = 0.0
    erase: float = 0.0
    erase_per: str = "frame"
    erase_area: tuple[float, float] = (0.02, 0.2)
    erase_value: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def from_config(cls, cfg: Any) -> "ClipAugmentation":
        """The host's INPUT keys, read as draws per clip."""
        jitter = cfg.INPUT.CJ
        erasing = cfg.INPUT.REA
        return cls(
            flip=cfg.INPUT.FLIP.PROB if cfg.INPUT.FLIP.ENABLED else 0.0,
            padding=cfg.INPUT.PADDING.SIZE if cfg.INPUT.PADDING.ENABLED else 0,
            jitter=(jitter.BRIGHTNESS, jitter.CONTRAST, jitter.SATURATION, jitter.HUE),
            jitter_prob=jitter.PROB if jitter.ENABLED else 0.0,
            erase=erasing.PROB if erasing.ENABLED else 0.0,
            erase_per=erasing.PER,
            erase_area=tuple(erasing.AREA),
            erase_value=tuple(erasing.VALUE),
        )

    def __call__(self, frames: np.ndarray, clip: torch.Tensor, rng: np.random.Generator) -> None:
        """Writes an augmented clip; ``frames`` stay as they are, every draw comes from ``rng``."""
        to_planes(frames, clip, mirrored=rng.random() < self.flip)
        if self.padding:
            clip.copy_(self._crop(clip, rng))
        if rng.random() < self.jitter_prob:
            clip.copy_(self._recolour(clip, rng))
        if self.erase:
            self._erase(clip.numpy(), rng)

    def _crop(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        height, width = clip.shape[-2:]
        top, left = rng.integers(0, 2 * self.padding, size=2, endpoint=True).tolist()
        return F.pad(clip, [self.padding] * 4)[..., top : top + height, left : left + width]

    def _recolour(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        # Few runs change colours, and all would wait for this import.
        from torchvision.transforms.v2 import functional as vision

        brightness, contrast, saturation, hue = (float(rng.uniform(-greatest, greatest)) for greatest in self.jitter)
        # A decrease by more than 100 % ends at 0: a factor below 0 has no meaning, and torchvision does not accept it.
        clip = vision.adjust_brightness(clip, max(1 + brightness, 0.0))
        clip = vision.adjust_contrast(clip, max(1 + contrast, 0.0))
        clip = vision.adjust_saturation(clip, max(1 + saturation, 0.0))
        return vision.adjust_hue(clip, hue)

    def _erase(self, clip: np.ndarray, rng: np.random.Generator) -> None:
        value = np.round(self.erase_value).astype(np.uint8).reshape(3, 1, 1)
        for part in clip if self.erase_per == "frame" else clip[None]:
            if rng.random() < self.erase:
                top, left, height, width = self._rectangle(clip.shape[-2], clip.shape[-1], rng)
                part[..., top : top + height, left : left + width] = value

    def _rectangle(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """A rectangle of random area, and aspect between 0.3 and 1/0.3 as in Zhong et al., cut to fit the frame."""
        area = rng.uniform(*self.erase_area) * height * width
        aspect = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
        h = min(max(round(math.sqrt(area * aspect)), 1), height)
        w = min(max(round(math.sqrt(area / aspect)), 1), width)
        return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
