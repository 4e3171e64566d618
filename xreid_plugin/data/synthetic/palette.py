"""What each material of a person looks like to either sensor; the two are drawn independently of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_CONTRAST = 70
"""Grey levels, of 255, between the two phases of a garment, in luma and in infrared, before shading and sensor."""


class Material(IntEnum):
    """Surfaces of a person; the value is what a drawn figure holds at a pixel."""

    NOTHING = 0
    SKIN = 1
    HAIR = 2
    HAT = 3
    TOP_A = 4
    TOP_B = 5
    BOTTOM_A = 6
    BOTTOM_B = 7
    SHOES = 8
    BAG = 9
    TRIM = 10
    EYES = 11


@dataclass(frozen=True, eq=False)
class Palette:
    """Looks of the materials, indexed by Material; NOTHING is black in both.

    Attributes:
        visible: (12, 3) uint8, blue, green, red.
        infrared: (12,) uint8.
    """

    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draws the looks of one person's materials, infrared independently of the colours."""
    lumas = _draw_levels(rng, skin=(120, 205), hair=(20, 120))
    visible = np.stack([_colour(rng, Material(index), luma) for index, luma in enumerate(lumas)])
    return Palette(visible, _draw_levels(rng, skin=(170, 215), hair=(25, 125)))


def _draw_levels(rng: np.random.Generator, skin: tuple[int, int], hair: tuple[int, int]) -> NDArray[np.uint8]:
    levels = np.zeros(len(Material), np.uint8)
    levels[Material.SKIN] = rng.integers(*skin)
    levels[Material.HAIR] = _apart(rng, [(int(levels[Material.SKIN]), 60)], *hair)
    top = _apart(rng, [])
    top_b = _apart(rng, [(top, MIN_CONTRAST)])
    bottom = _apart(rng, [(top, 35)])
    levels[Material.TOP_A], levels[Material.TOP_B], levels[Material.BOTTOM_A] = top, top_b, bottom
    levels[Material.BOTTOM_B] = _apart(rng, [(bottom, MIN_CONTRAST)])
    levels[Material.SHOES] = _apart(rng, [(bottom, 30)])
    bag = _apart(rng, [(top, 45), (top_b, 25)])
    levels[Material.BAG] = bag
    levels[Material.TRIM] = _apart(rng, [(bag, 40)])
    levels[Material.HAT] = _apart(rng, [(int(levels[Material.SKIN]), 50)])
    levels[Material.EYES] = 35
    return levels


def _apart(rng: np.random.Generator, others: Sequence[tuple[int, int]], low: int = 28, high: int = 232) -> int:
    """A level in low..high that keeps the given distance from every given other level."""
    levels = np.arange(low, high + 1)
    for other, distance in others:
        levels = levels[abs(levels - other) >= distance]
    return int(rng.choice(levels))


def _colour(rng: np.random.Generator, material: Material, luma: int) -> NDArray[np.uint8]:
    hue, saturation = rng.uniform(0, 180), rng.uniform(30, 215)
    if material is Material.SKIN:
        hue, saturation = rng.uniform(7, 14), rng.uniform(80, 140)
    elif material is Material.HAIR:
        hue, saturation = rng.uniform(5, 18), rng.uniform(20, 150)
    elif material is Material.EYES:
        saturation = 0.0
    hsv = np.array([[[hue, saturation, 255]]], np.uint8)
    return with_luma(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0], luma)


def with_luma(colour: NDArray[np.uint8], luma: int) -> NDArray[np.uint8]:
    """The colour, darkened with black or lightened with white until its luma (0 to 255) is the given one."""
    bgr = colour.astype(np.float64)
    own = luma_of(bgr)
    mixed = bgr * luma / own if luma <= own else bgr + (255 - bgr) * (luma - own) / (255 - own)
    return np.rint(mixed).astype(np.uint8)


def luma_of(bgr: NDArray[np.generic]) -> float:
    """Luma (ITU-R BT.601), 0 to 255, of one blue, green, red triple."""
    return float(np.asarray(bgr, np.float64) @ np.array([0.114, 0.587, 0.299]))
