"""Who walks, and how: clothes, looks to either sensor, build, luggage and walk of every identity of a set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from math import prod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from projects.SyntheticPeople.plan import Stream, SyntheticSettings

Floats = NDArray[np.float64]
Texture = NDArray[np.uint8]  # (ROWS, COLUMNS, 2): material, and shade in units of 1 / FULL_LIGHT.

ROWS, COLUMNS = 128, 64  # Texels of a garment, from its upper to its lower hem and across it.
FULL_LIGHT = 200  # The shade that leaves a material as bright as its palette says; 255 is the brightest.
ANKLE_HEIGHT = 0.035  # Above the ground, in body heights.
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


@dataclass(frozen=True)
class Outfit:
    """The discrete traits, which both sensors see. No two identities of a set share all of them."""

    top_pattern: str
    bottom_pattern: str
    bottom: str
    hair: str
    bag: str
    long_sleeves: bool
    contrasting_sleeves: bool
    coat: bool


# Of each trait of an outfit.
_CHOICES: tuple[Sequence[Any], ...] = (
    [pattern for pattern in PATTERNS if pattern != "centre line"],
    ["plain", "hoops", "centre line", "checks", "two-tone"],
    ["trousers", "shorts", "skirt", "long skirt"],
    ["short", "long", "bun", "afro", "bald", "hat"],
    ["none", "backpack", "handbag", "shoulder bag"],
    *([(False, True)] * 3),
)
OUTFITS = prod(len(choices) for choices in _CHOICES)  # Hence the most identities a set can have.


def _between(low: float, high: float) -> Any:
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class Body:
    """Proportions; lengths in units of a standing person's height, ``height`` relative to other people's."""

    shoulders: float = _between(0.21, 0.31)
    hips: float = _between(0.17, 0.27)
    height: float = _between(0.93, 1.05)
    leg: float = _between(0.44, 0.53)
    arm: float = _between(0.36, 0.44)
    head: float = _between(0.125, 0.155)
    slimness: float = _between(0.72, 1.0)  # The waist's width relative to the mean of shoulders and hips.
    depth: float = _between(0.14, 0.24)
    limbs: float = _between(0.8, 1.25)  # Thickness relative to other people's.
    flare: float = _between(0.8, 1.45)  # Of trousers.

    @property
    def torso(self) -> float:
        """From the hip joints up to the shoulder line."""
        return 1 - self.leg - 1.28 * self.head


@dataclass(frozen=True)
class Gait:
    """A way of walking: cycles (two steps) per frame; swings and bends in radians; bounce in body heights."""

    frequency: float = _between(0.04, 0.1)
    leg_swing: float = _between(0.25, 0.55)
    arm_swing: float = _between(0.1, 0.75)
    knee_bend: float = _between(0.4, 1.1)
    elbow_bend: float = _between(0.05, 0.9)
    bounce: float = _between(0, 0.02)


@dataclass(frozen=True, eq=False)
class Person:
    """One identity."""

    outfit: Outfit
    body: Body
    gait: Gait
    palette: Palette


def draw_person(settings: SyntheticSettings, pid: int) -> Person:
    """The identity of number ``pid``, 1 to OUTFITS; it does not depend on how many others the set has."""
    rng = settings.rng(Stream.PERSON, pid)
    number = settings.rng(Stream.OUTFITS).permutation(OUTFITS)[pid - 1]
    picks = np.unravel_index(number, [len(choices) for choices in _CHOICES])
    outfit = Outfit(*(choices[int(pick)] for choices, pick in zip(_CHOICES, picks, strict=True)))
    traits = [[rng.uniform(*trait.metadata["range"]) for trait in fields(kind)] for kind in (Body, Gait)]
    return Person(outfit, Body(*traits[0]), Gait(*traits[1]), draw_palette(rng))


def walk(person: Person, phase: Floats) -> dict[str, Floats]:
    """The joints of a person at (T,) radians of the gait cycle; the lower foot stands on the ground but for the bounce.

    Returns:
        Joints by name, each (T, 2, 3) for the left and the right side, in body heights: x to the person's right, y up
        from the ground, z ahead; and "pelvis", the centre of the hips, (T, 3).
    """
    body, gait = person.body, person.gait
    cycle = phase[:, None] + np.array([0.0, np.pi])
    thigh = gait.leg_swing * np.sin(cycle)
    # The knee bends while its leg swings ahead, that is, while the thigh's angle grows.
    shin = thigh - 0.06 - gait.knee_bend * np.maximum(0, np.cos(cycle)) ** 1.5
    upper_arm = -gait.arm_swing * np.sin(cycle)
    forearm = upper_arm + gait.elbow_bend * (0.6 + 0.4 * np.sin(-cycle))

    long_bone, short_bone = 0.52 * body.leg, 0.48 * body.leg - ANKLE_HEIGHT
    reach = long_bone * np.cos(thigh) + short_bone * np.cos(shin)
    pelvis = np.zeros((len(phase), 3))
    pelvis[:, 1] = reach.max(axis=1) + ANKLE_HEIGHT + gait.bounce * (1 + np.cos(2 * phase)) / 2
    joints = {"pelvis": pelvis, "hips": pelvis[:, None] + _sideways(0.25 * body.hips)}
    joints["knees"] = joints["hips"] + long_bone * _bone(thigh)
    joints["ankles"] = joints["knees"] + short_bone * _bone(shin)
    joints["toes"] = joints["ankles"] + 0.085 * _bone(np.pi / 2 + 0.5 * shin)
    # Arms hang at the outside of the shoulders and a little away from the body.
    joints["shoulders"] = pelvis[:, None] + _sideways(0.43 * body.shoulders) + [0, body.torso - 0.055, 0]
    joints["elbows"] = joints["shoulders"] + 0.48 * body.arm * (_bone(upper_arm) + _sideways(0.17))
    joints["wrists"] = joints["elbows"] + 0.46 * body.arm * (_bone(forearm) + _sideways(0.04))
    return joints


def _bone(angle: Floats) -> Floats:
    """Unit vectors that hang down at angle 0 and point ahead at a right angle; (...,) to (..., 3)."""
    return np.stack([np.zeros_like(angle), -np.cos(angle), np.sin(angle)], axis=-1)


def _sideways(distance: float) -> Floats:
    return distance * np.array([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
