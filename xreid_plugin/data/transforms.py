"""Frames to the pixels of a clip: uint8 throughout, with one random draw for the whole clip.

A clip is (T, 3, H, W) uint8, RGB, 0 to 255; it is normalised on the device, by the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torchvision.transforms.v2 import functional as vision

# Workers are the parallelism; OpenCV's own threads in each of them would only contend.
cv2.setNumThreads(0)


class FrameError(RuntimeError):
    """A frame that is missing or is no picture; the message names the file and the tracklet."""


def read_frames(paths: Sequence[str], size: tuple[int, int], tracklet: str) -> np.ndarray:
    """Decodes and resizes frames; a repeated path is decoded once.

    Args:
        paths: T image files.
        size: (H, W) in pixels; frames are resized to it bilinearly (method: Recipe).
        tracklet: name of the tracklet, for messages.

    Returns:
        (T, H, W, 3) uint8, RGB, 0 to 255.

    Raises:
        FrameError: a file is missing or cannot be decoded.
    """
    decoded: dict[str, np.ndarray] = {}
    for path in paths:
        if path not in decoded:
            decoded[path] = _read_frame(path, size, tracklet)
    return np.stack([decoded[path] for path in paths])


def _read_frame(path: str, size: tuple[int, int], tracklet: str) -> np.ndarray:
    picture = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise FrameError(
            f"Frame {path} of tracklet {tracklet} is missing or is not a readable picture. "
            "tools/check_dataset.py --deep looks for such frames before training."
        )
    height, width = size
    if picture.shape[:2] != size:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return picture


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

    def __post_init__(self) -> None:
        if self.erase_per not in ("frame", "clip"):
            raise ValueError(f'INPUT.REA.PER is "{self.erase_per}"; it must be "frame" or "clip".')

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

    def __call__(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Augments a clip.

        Args:
            clip: (T, 3, H, W) uint8; not changed.
            rng: source of every draw.

        Returns:
            (T, 3, H, W) uint8.
        """
        if rng.random() < self.flip:
            clip = clip.flip(-1)
        if self.padding:
            clip = self._crop(clip, rng)
        if rng.random() < self.jitter_prob:
            clip = self._recolour(clip, rng)
        return self._erase(clip, rng) if self.erase else clip

    def _crop(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        height, width = clip.shape[-2:]
        top, left = rng.integers(0, 2 * self.padding, size=2, endpoint=True).tolist()
        return vision.crop(vision.pad(clip, [self.padding]), top, left, height, width)

    def _recolour(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        brightness, contrast, saturation, hue = (float(rng.uniform(-greatest, greatest)) for greatest in self.jitter)
        clip = vision.adjust_brightness(clip, 1 + brightness)
        clip = vision.adjust_contrast(clip, 1 + contrast)
        clip = vision.adjust_saturation(clip, 1 + saturation)
        return vision.adjust_hue(clip, hue)

    def _erase(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        value = torch.tensor(self.erase_value).round().to(torch.uint8).view(3, 1, 1)
        clip = clip.clone()
        parts = clip if self.erase_per == "frame" else [clip]
        for part in parts:
            if rng.random() < self.erase:
                top, left, height, width = self._rectangle(clip.shape[-2], clip.shape[-1], rng)
                part[..., top : top + height, left : left + width] = value
        return clip

    def _rectangle(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """A rectangle of random area, and aspect between 0.3 and 1/0.3 as in Zhong et al., cut to fit the frame."""
        area = rng.uniform(*self.erase_area) * height * width
        aspect = np.exp(rng.uniform(np.log(0.3), -np.log(0.3)))
        h = min(max(round(float(np.sqrt(area * aspect))), 1), height)
        w = min(max(round(float(np.sqrt(area / aspect))), 1), width)
        return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
