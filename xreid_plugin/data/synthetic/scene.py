"""Places: what stands behind and in front of the walkers, painted once for each camera and sensor."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.settings import Stream, SyntheticSettings
from xreid_plugin.data.tracklet import Modality

Picture = NDArray[np.uint8]

FRAMES_WIDE = 5
"""Width of a panorama in frames; walkers who pass its end see its beginning again."""


class _Paint:
    """Draws looks of one sensor: muted colours, or greys."""

    def __init__(self, rng: np.random.Generator, modality: Modality) -> None:
        self._rng = rng
        self._tones = 3 if modality is Modality.VISIBLE else 1
        self._range = (60, 190) if modality is Modality.VISIBLE else (25, 150)

    def __call__(self) -> tuple[int, ...]:
        level = self._rng.uniform(*self._range)
        if self._tones == 1:
            return (int(level),)
        return tuple(int(tone) for tone in np.clip(level + self._rng.normal(0, 10, 3), 0, 255))


@lru_cache(maxsize=64)
def panorama(settings: SyntheticSettings, camera: int, modality: Modality) -> Picture:
    """The surroundings of a camera, one for either sensor, as sensors are seldom mounted side by side.

    Returns:
        (H, FRAMES_WIDE * W, channels) with 3 channels (blue, green, red) or 1 (infrared); treat as read-only.
    """
    rng = settings.rng(Stream.SCENE, camera, int(modality))
    paint = _Paint(rng, modality)
    height, width = settings.size[0], FRAMES_WIDE * settings.size[1]
    horizon = int(height * rng.uniform(0.45, 0.72))
    picture = np.empty((height, width, len(paint())), np.uint8)
    picture[:horizon] = paint()
    picture[horizon:] = paint()
    kinds = (_paint_facade, _paint_trees, _paint_pillars)
    kinds[(camera + int(modality)) % len(kinds)](rng, picture, horizon, paint)
    _paint_ground(rng, picture, horizon, paint)
    return _weather(rng, picture)


def _paint_facade(rng: np.random.Generator, picture: Picture, horizon: int, paint: _Paint) -> None:
    height, width = picture.shape[:2]
    pitch = int(height * rng.uniform(0.25, 0.45))
    glass, frame = paint(), paint()
    for x in range(0, width, pitch):
        for y in range(-pitch // 3, horizon - pitch // 2, pitch):
            corners = (x + pitch // 5, y + pitch // 6), (x + pitch // 5 + pitch // 2, y + 3 * pitch // 4)
            cv2.rectangle(picture, *corners, frame, -1)
            inset = max(1, pitch // 14)
            inner = corners[0][0] + inset, corners[0][1] + inset, pitch // 2 - 2 * inset, 7 * pitch // 12 - 2 * inset
            cv2.rectangle(picture, inner, glass, -1)


def _paint_trees(rng: np.random.Generator, picture: Picture, horizon: int, paint: _Paint) -> None:
    height, width = picture.shape[:2]
    leaves, bark = [paint() for _ in range(3)], paint()
    for x in range(0, width, int(height * 0.4)):
        trunk = int(x + rng.uniform(0, 0.3) * height)
        cv2.rectangle(picture, (trunk, 0), (trunk + max(1, height // 24), horizon + height // 30), bark, -1)
        for _ in range(10):
            centre = (int(trunk + rng.normal(0, 0.14) * height), int(rng.uniform(-0.05, 0.4) * height))
            cv2.circle(picture, centre, int(rng.uniform(0.04, 0.11) * height), leaves[rng.integers(3)], -1, cv2.LINE_AA)


def _paint_pillars(rng: np.random.Generator, picture: Picture, horizon: int, paint: _Paint) -> None:
    height, width = picture.shape[:2]
    light, dark, rail = paint(), paint(), paint()
    for x in range(0, width, int(height * rng.uniform(0.35, 0.6))):
        breadth = int(height * rng.uniform(0.06, 0.16))
        cv2.rectangle(picture, (x, 0), (x + breadth, horizon + height // 20), light, -1)
        cv2.rectangle(picture, (x + 2 * breadth // 3, 0), (x + breadth, horizon + height // 20), dark, -1)
    cv2.line(picture, (0, horizon - height // 8), (width, horizon - height // 8), rail, max(1, height // 48))


def _paint_ground(rng: np.random.Generator, picture: Picture, horizon: int, paint: _Paint) -> None:
    height, width = picture.shape[:2]
    seam = paint()
    for row in np.geomspace(1, height - horizon, 5)[1:-1]:
        cv2.line(picture, (0, horizon + int(row)), (width, horizon + int(row)), seam, max(1, height // 96), cv2.LINE_AA)
    for x in range(0, width, int(height * rng.uniform(0.2, 0.5))):
        lean = int(rng.uniform(-0.3, 0.3) * height)
        cv2.line(picture, (x, horizon), (x + lean, height), seam, max(1, height // 96), cv2.LINE_AA)


def _weather(rng: np.random.Generator, picture: Picture) -> Picture:
    """Uneven light, coarse and fine texture, and a background slightly out of focus."""
    height, width = picture.shape[:2]
    light = rng.normal(1, 0.12, (4, 12)).astype(np.float32)
    grain = rng.normal(0, 0.05, (height // 2, width // 2)).astype(np.float32)
    relative = np.add(
        cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC),
        cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR),
    )
    worn = picture * relative[:, :, None]
    blurred = cv2.GaussianBlur(worn, (0, 0), max(0.4, 0.006 * height), borderType=cv2.BORDER_REFLECT)
    return np.clip(blurred, 0, 255).astype(np.uint8).reshape(picture.shape)


@dataclass(frozen=True, eq=False)
class Occluder:
    """Something between camera and walker.

    Attributes:
        picture: (H, w, channels) uint8.
        cover: (H, w, 1) float32, 0 (nothing there) to 1.
        left: (T,) its left edge in every frame, in pixels; may lie outside of the frame.
    """

    picture: Picture
    cover: NDArray[np.float32]
    left: NDArray[np.int64]


def draw_occluder(
    rng: np.random.Generator, travelled: NDArray[np.float64], size: tuple[int, int], modality: Modality
) -> Occluder | None:
    """Places a pole, a bush or a railing before about a third of the tracklets."""
    height, width = size
    kind, chance, start = rng.integers(3), rng.uniform(), rng.uniform(-0.1, 0.9) * width
    paint = _Paint(rng, modality)
    if chance > 0.35:
        return None
    cover = np.zeros((height, int((0.12, 0.75, 1.6)[kind] * width)), np.uint8)
    if kind == 0:
        cover[:] = 255
    elif kind == 1:
        top = rng.uniform(0.68, 0.8)
        for _ in range(26):
            centre = (int(rng.uniform(0.15, 0.85) * cover.shape[1]), int(rng.uniform(top, 1.05) * height))
            cv2.circle(cover, centre, int(0.055 * height), 255, -1, cv2.LINE_AA)
    else:
        for y in (0.66, 0.76, 0.86):
            cv2.rectangle(cover, (0, int(y * height)), (cover.shape[1], int((y + 0.025) * height)), 255, -1)
    coarse = rng.normal(1, 0.14, (height // 3, max(2, cover.shape[1] // 3))).astype(np.float32)
    grain = np.asarray(cv2.resize(coarse, cover.shape[::-1], interpolation=cv2.INTER_LINEAR))[:, :, None]
    picture = np.clip(np.array(paint(), np.float32) * grain, 0, 255).astype(np.uint8)
    # It stands nearer than the walker, so that it passes faster than the background.
    middle = travelled[len(travelled) // 2]
    left = np.rint(start - cover.shape[1] / 2 - 1.3 * (travelled - middle)).astype(np.int64)
    return Occluder(picture, cover.astype(np.float32)[:, :, None] / np.float32(255), left)
