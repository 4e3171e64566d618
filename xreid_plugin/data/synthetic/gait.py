"""The joints of a walking body over time.

Body frame, in body heights: x to the person's right, y up from the ground, z ahead. T frames; side 0 is the left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.person import Body, Gait

Floats = NDArray[np.float64]

_SIDES = np.array([-1.0, 1.0])
ANKLE_HEIGHT = 0.035


@dataclass(frozen=True, eq=False)
class Pose:
    """Joints of both sides, each (T, 2, 3); the centre of the pelvis, (T, 3)."""

    shoulders: Floats
    elbows: Floats
    wrists: Floats
    hips: Floats
    knees: Floats
    ankles: Floats
    toes: Floats
    pelvis: Floats


def walk(body: Body, gait: Gait, phase: Floats) -> Pose:
    """The body's joints at given moments.

    Args:
        body: proportions.
        gait: swings and bends.
        phase: (T,) radians of the gait cycle.

    Returns:
        A pose whose lower foot stands on the ground, apart from the gait's bounce.
    """
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

    hips = pelvis[:, None] + _sideways(0.25 * body.hips)
    knees = hips + long_bone * _bone(thigh)
    ankles = knees + short_bone * _bone(shin)
    toes = ankles + 0.085 * _bone(np.pi / 2 + 0.5 * shin)

    # Arms hang at the outside of the shoulders and a little away from the body.
    shoulders = pelvis[:, None] + _sideways(0.43 * body.shoulders) + [0, body.torso - 0.055, 0]
    elbows = shoulders + 0.48 * body.arm * (_bone(upper_arm) + _sideways(0.17))
    wrists = elbows + 0.46 * body.arm * (_bone(forearm) + _sideways(0.04))
    return Pose(shoulders, elbows, wrists, hips, knees, ankles, toes, pelvis)


def _bone(angle: Floats) -> Floats:
    """Unit vectors that hang down at angle 0 and point ahead at a right angle; (...,) to (..., 3)."""
    return np.stack([np.zeros_like(angle), -np.cos(angle), np.sin(angle)], axis=-1)


def _sideways(distance: float) -> Floats:
    return np.stack([distance * _SIDES, np.zeros(2), np.zeros(2)], axis=-1)
