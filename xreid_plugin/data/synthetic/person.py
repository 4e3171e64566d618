"""Who walks: body, outfit, gait and looks of every identity of a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from xreid_plugin.data.synthetic.palette import Palette, draw_palette
from xreid_plugin.data.synthetic.pattern import BOTTOM_PATTERNS, TOP_PATTERNS, Pattern
from xreid_plugin.data.synthetic.settings import Stream, SyntheticError, SyntheticSettings


class Bottom(Enum):
    TROUSERS = auto()
    SHORTS = auto()
    SKIRT = auto()
    LONG_SKIRT = auto()


class Hair(Enum):
    SHORT = auto()
    LONG = auto()
    BUN = auto()
    AFRO = auto()
    BALD = auto()
    HAT = auto()


class Bag(Enum):
    NONE = auto()
    BACKPACK = auto()
    HANDBAG = auto()
    SHOULDER_BAG = auto()


@dataclass(frozen=True)
class Outfit:
    """The discrete traits, which both sensors see. No two identities of a set share all of them."""

    top: Pattern
    bottom_pattern: Pattern
    bottom: Bottom
    hair: Hair
    bag: Bag
    long_sleeves: bool
    sleeves_in_second_phase: bool
    coat: bool


_CHOICES: tuple[Sequence[Any], ...] = (
    TOP_PATTERNS,
    BOTTOM_PATTERNS,
    tuple(Bottom),
    tuple(Hair),
    tuple(Bag),
    *([(False, True)] * 3),
)
OUTFITS = prod(len(choices) for choices in _CHOICES)
"""Number of different outfits, hence the most identities a set can have."""


@dataclass(frozen=True)
class Body:
    """Proportions; lengths in units of a standing person's height, ``height`` relative to other people's."""

    height: float
    leg: float
    arm: float
    head: float
    shoulders: float
    waist: float
    hips: float
    depth: float
    limbs: float
    flare: float

    @property
    def torso(self) -> float:
        """From the hip joints up to the shoulder line."""
        return 1 - self.leg - 1.28 * self.head


@dataclass(frozen=True)
class Gait:
    """A way of walking: cycles (two steps) per frame; swings and bends in radians; bounce in body heights."""

    frequency: float
    leg_swing: float
    arm_swing: float
    knee_bend: float
    elbow_bend: float
    bounce: float


@dataclass(frozen=True, eq=False)
class Person:
    """One identity."""

    outfit: Outfit
    body: Body
    gait: Gait
    palette: Palette


def require_outfits(identities: int) -> None:
    """Raises SyntheticError where a set of so many identities would have to dress two of them alike."""
    if identities > OUTFITS:
        raise SyntheticError(f"there are outfits for at most {OUTFITS} identities, not for {identities}: ask for fewer")


def draw_person(settings: SyntheticSettings, pid: int) -> Person:
    """The identity of number ``pid``, 1 to OUTFITS; it does not depend on how many others the set has."""
    rng = settings.rng(Stream.PERSON, pid)
    return Person(_outfit(_outfit_order(settings)[pid - 1]), _draw_body(rng), _draw_gait(rng), draw_palette(rng))


@lru_cache(maxsize=4)
def _outfit_order(settings: SyntheticSettings) -> tuple[int, ...]:
    return tuple(settings.rng(Stream.OUTFITS).permutation(OUTFITS).tolist())


def _outfit(number: int) -> Outfit:
    picks = np.unravel_index(number, [len(choices) for choices in _CHOICES])
    return Outfit(*(choices[int(pick)] for choices, pick in zip(_CHOICES, picks, strict=True)))


def _draw_body(rng: np.random.Generator) -> Body:
    shoulders, hips = rng.uniform(0.21, 0.31), rng.uniform(0.17, 0.27)
    return Body(
        height=rng.uniform(0.93, 1.05),
        leg=rng.uniform(0.44, 0.53),
        arm=rng.uniform(0.36, 0.44),
        head=rng.uniform(0.125, 0.155),
        shoulders=shoulders,
        waist=rng.uniform(0.72, 1.0) * (shoulders + hips) / 2,
        hips=hips,
        depth=rng.uniform(0.14, 0.24),
        limbs=rng.uniform(0.8, 1.25),
        flare=rng.uniform(0.8, 1.45),
    )


def _draw_gait(rng: np.random.Generator) -> Gait:
    return Gait(
        frequency=rng.uniform(0.04, 0.1),
        leg_swing=rng.uniform(0.25, 0.55),
        arm_swing=rng.uniform(0.1, 0.75),
        knee_bend=rng.uniform(0.4, 1.1),
        elbow_bend=rng.uniform(0.05, 0.9),
        bounce=rng.uniform(0, 0.02),
    )
