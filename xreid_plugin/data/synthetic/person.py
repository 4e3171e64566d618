"""Who walks, and how: clothes, build, luggage, looks and walk of every identity of a set."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, Literal, get_args

import numpy as np

from xreid_plugin.data.synthetic.clothes import PATTERNS, Floats, Palette, draw_palette
from xreid_plugin.data.synthetic.plan import Stream, SyntheticSettings

ANKLE_HEIGHT = 0.035  # Above the ground, in body heights.

Bottom = Literal["trousers", "shorts", "skirt", "long skirt"]
Hair = Literal["short", "long", "bun", "afro", "bald", "hat"]
Bag = Literal["none", "backpack", "handbag", "shoulder bag"]


@dataclass(frozen=True)
class Outfit:
    """The discrete traits, which both sensors see. No two identities of a set share all of them."""

    top_pattern: str  # As the next, a name in PATTERNS.
    bottom_pattern: str
    bottom: Bottom
    hair: Hair
    bag: Bag
    long_sleeves: bool
    contrasting_sleeves: bool
    coat: bool


_CHOICES: tuple[Sequence[Any], ...] = (
    [pattern for pattern in PATTERNS if pattern != "centre line"],
    ["plain", "hoops", "centre line", "checks", "two-tone"],
    *(get_args(Bottom), get_args(Hair), get_args(Bag)),
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
