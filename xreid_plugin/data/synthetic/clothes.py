"""What a person is made of: materials and their looks to either sensor, patterns of cloth, and its shading."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texture = NDArray[np.uint8]  # (ROWS, COLUMNS, 2): material, and shade in units of 1 / FULL_LIGHT.

ROWS, COLUMNS = 128, 64  # Texels of a garment, from its upper to its lower hem and across it.
FULL_LIGHT = 200  # The shade that leaves a material as bright as its palette says; 255 is the brightest.
MIN_CONTRAST = 70  # Grey levels, of 255, between a garment's two phases, in luma and in infrared, before any shading.


# Surfaces of a person; a drawing holds them pixel by pixel. A garment has two looks, A and B.
Material = IntEnum(
    "Material", ["NOTHING", "SKIN", "HAIR", "HAT", "TOP_A", "TOP_B", "BOTTOM_A", "BOTTOM_B", "SHOES", "BAG"], start=0
)

# By how many grey levels each material, drawn in this order, differs from materials drawn before it.
_APART: Mapping[Material, Mapping[Material, int]] = {
    Material.SKIN: {},
    Material.HAIR: {Material.SKIN: 60},
    Material.TOP_A: {},
    Material.TOP_B: {Material.TOP_A: MIN_CONTRAST},
    Material.BOTTOM_A: {Material.TOP_A: 35},
    Material.BOTTOM_B: {Material.BOTTOM_A: MIN_CONTRAST},
    Material.SHOES: {Material.BOTTOM_A: 30},
    Material.BAG: {Material.TOP_A: 45, Material.TOP_B: 25},
    Material.HAT: {Material.SKIN: 50},
}


@dataclass(frozen=True, eq=False)
class Palette:
    """Looks of the materials, indexed by Material. The infrared levels are drawn independently of the colours."""

    visible: NDArray[np.uint8]  # (10, 3) blue, green, red.
    infrared: NDArray[np.uint8]  # (10,)


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draws the looks of one person's materials."""
    lumas = _draw_levels(rng, skin=(120, 204), hair=(20, 120))
    visible = np.stack([_draw_colour(rng, Material(index), luma) for index, luma in enumerate(lumas)])
    return Palette(visible, _draw_levels(rng, skin=(170, 214), hair=(25, 125)))


def _draw_levels(rng: np.random.Generator, skin: tuple[int, int], hair: tuple[int, int]) -> NDArray[np.uint8]:
    levels = np.zeros(len(Material), np.uint8)
    for material, others in _APART.items():
        low, high = {Material.SKIN: skin, Material.HAIR: hair}.get(material, (28, 232))
        choices = np.arange(low, high + 1)
        for other, distance in others.items():
            choices = choices[abs(choices - int(levels[other])) >= distance]
        levels[material] = rng.choice(choices)
    return levels


def _draw_colour(rng: np.random.Generator, material: Material, luma: int) -> NDArray[np.uint8]:
    hue, saturation = rng.uniform(0, 180), rng.uniform(30, 215)
    if material in (Material.SKIN, Material.HAIR):
        hue, saturation = rng.uniform(7, 16), rng.uniform(60, 140)
    bgr = cv2.cvtColor(np.array([[[hue, saturation, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)
    # Black darkens a colour, white lightens it, until its luma (ITU-R BT.601) is the one asked for.
    own = bgr @ np.array([0.114, 0.587, 0.299])
    mixed = bgr * luma / own if luma <= own else bgr + (255 - bgr) * (luma - own) / (255 - own)
    return np.rint(mixed).astype(np.uint8)


def _odd(values: Floats) -> NDArray[np.bool_]:
    return np.floor(values).astype(np.int64) % 2 == 1


# By name, where a garment shows its second phase, for y down and x across it, 0 to 1; it is 1.6 times as long as wide.
PATTERNS: Mapping[str, Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    "plain": lambda y, x: y < 0,
    "wide hoops": lambda y, x: _odd(4 * y),
    "hoops": lambda y, x: _odd(7 * y),
    "fine hoops": lambda y, x: _odd(12 * y),
    "wide stripes": lambda y, x: _odd(3 * (x - 0.5) + 0.5),
    "stripes": lambda y, x: _odd(7 * (x - 0.5) + 0.5),
    "wide checks": lambda y, x: _odd(3 * y) ^ _odd(3 * x / 1.6),
    "checks": lambda y, x: _odd(6 * y) ^ _odd(6 * x / 1.6),
    "chest block": lambda y, x: (abs(x - 0.5) < 0.24) & (y > 0.16) & (y < 0.55),
    "two-tone": lambda y, x: y > 0.5,
    "yoke": lambda y, x: y > 0.27,
    "band": lambda y, x: (y > 0.36) & (y < 0.62),
    "sash": lambda y, x: abs(x - 0.1 - 0.8 * y) < 0.17,
    "diagonals": lambda y, x: _odd(6 * (y + x / 1.6)),
    "dots": lambda y, x: ((3 * y) % 1 - 0.5) ** 2 + ((3 * x) % 1 - 0.5) ** 2 < 0.3**2,
    "centre line": lambda y, x: abs(x - 0.5) < 0.2,
}


def make_texture(pattern: str, first: Material, second: Material, light: float) -> Texture:
    """A garment wrapped around an upright cylinder and lit from one side: -1 (from the left) to 1 (from the right)."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    materials = np.where(PATTERNS[pattern]((y + 0.5) / ROWS, (x + 0.5) / COLUMNS), second, first)
    around = np.linspace(-0.97, 0.97, COLUMNS)
    lit = np.maximum(0, around * light + np.sqrt(1 - around**2)) / np.hypot(1, light)
    shade = np.broadcast_to(FULL_LIGHT * (0.45 + 0.64 * lit), materials.shape)
    return np.stack([materials, shade], axis=-1).astype(np.uint8)
