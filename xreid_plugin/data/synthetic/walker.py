"""What drawing one person needs to know: the walker, and the walker at one moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.camera import View
from xreid_plugin.data.synthetic.person import Body, Outfit
from xreid_plugin.data.synthetic.textures import Wardrobe

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Walker:
    """What stays the same while a person crosses one camera's view."""

    body: Body
    outfit: Outfit
    wardrobe: Wardrobe
    view: View


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of a walker: a body height and joints in pixels of the canvas, both sides' where there are two.

    ``far`` and ``near`` are the side, 0 or 1, that is farther from and nearer to the camera.
    """

    scale: float
    pelvis: Floats
    shoulders: Floats
    elbows: Floats
    wrists: Floats
    hips: Floats
    knees: Floats
    ankles: Floats
    toes: Floats
    far: int
    near: int
