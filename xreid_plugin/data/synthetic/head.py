"""Head, face and hair."""

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.canvas import Canvas, capsule, ellipse, vector
from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.person import Hair
from xreid_plugin.data.synthetic.walker import Moment, Walker

Floats = NDArray[np.float64]


def _head(walker: Walker, moment: Moment) -> tuple[Floats, float, float]:
    """Centre of the head, its height in pixels, and how far the face is turned to the right, -1 to 1."""
    height = walker.body.head * moment.scale
    turn = float(np.sin(walker.view.yaw))
    neck = moment.pelvis - vector(0, walker.body.torso * moment.scale)
    return neck + vector(0.12 * height * turn, -0.74 * height), height, turn


def draw_hair_behind(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """Hair that falls behind the shoulders."""
    if walker.outfit.hair is Hair.LONG:
        centre, height, turn = _head(walker, moment)
        low = centre + vector(-0.3 * height * turn, 1.15 * height)
        _cover(canvas, walker.wardrobe.hair, capsule(centre, low, 0.5 * height, 0.5 * height))


def draw_head(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """Neck, head, face and the hair around it."""
    centre, height, turn = _head(walker, moment)
    hair, wardrobe = walker.outfit.hair, walker.wardrobe
    neck = moment.pelvis - vector(0, walker.body.torso * moment.scale)
    canvas.line(neck + vector(0, 0.05 * height), centre, 0.45 * height, Material.SKIN, 0.75)
    if hair is Hair.BUN:
        _cover(canvas, wardrobe.hair, ellipse(centre - vector(0.3 * height * turn, 0.6 * height), (0.24 * height,) * 2))
    if hair is Hair.AFRO:
        _cover(
            canvas, wardrobe.hair, ellipse(centre - vector(0.12 * height * turn, 0.2 * height), (0.66 * height,) * 2)
        )
    elif hair is Hair.LONG:
        _draw_locks(canvas, walker, centre, height, turn)
    elif hair is not Hair.BALD:
        _cover(
            canvas, wardrobe.hair, ellipse(centre - vector(0.08 * height * turn, 0.08 * height), _radii(height, 0.47))
        )
    face = centre if hair is Hair.BALD else centre + vector(0.11 * height * turn, 0.1 * height)
    _cover(canvas, wardrobe.head, ellipse(face, _radii(height, 0.44 if hair is Hair.BALD else 0.37)))
    _draw_eyes(canvas, face + vector(0.14 * height * turn, 0.0), height, turn)
    if hair is Hair.HAT:
        _draw_hat(canvas, walker, centre, height, turn)


def _radii(height: float, share: float) -> tuple[float, float]:
    return share * 0.86 * height, 1.12 * share * height


def _draw_locks(canvas: Canvas, walker: Walker, centre: Floats, height: float, turn: float) -> None:
    _cover(
        canvas, walker.wardrobe.hair, ellipse(centre - vector(0.08 * height * turn, 0.08 * height), _radii(height, 0.5))
    )
    for side in (-1.0, 1.0):
        # Seen from the side, one lock hides behind the face and the other one lies on the back.
        root = centre + vector((0.36 * side * (1 - abs(turn)) - 0.22 * turn) * height, 0.0)
        tip = root + vector(-0.12 * height * turn, 0.95 * height)
        _cover(canvas, walker.wardrobe.hair, capsule(root, tip, 0.17 * height, 0.14 * height))


def _draw_eyes(canvas: Canvas, middle: Floats, height: float, turn: float) -> None:
    for side in (-1.0, 1.0):
        if side * turn > -0.7:
            eye = middle + vector(0.15 * side * (1 - 0.4 * abs(turn)) * height, 0.0)
            canvas.fill(ellipse(eye, (0.045 * height, 0.04 * height), 8), Material.EYES)


def _draw_hat(canvas: Canvas, walker: Walker, centre: Floats, height: float, turn: float) -> None:
    brim = centre - vector(0, 0.2 * height)
    arc = ellipse(brim, (0.44 * height, 0.5 * height))
    _cover(canvas, walker.wardrobe.hat, arc[arc[:, 1] <= brim[1] + 1e-6])
    reach = vector(0.3 * height * turn, 0.0)
    half = vector((0.62 - 0.1 * abs(turn)) * height, 0.0)
    canvas.line(brim + reach - half, brim + reach + half, 0.13 * height, Material.HAT, 0.85)


def _cover(canvas: Canvas, texture: NDArray[np.uint8], points: Floats) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    top = np.array([(low[0] + high[0]) / 2, low[1]])
    canvas.cover(points, texture, top, np.array([0.0, high[1] - low[1]]), np.array([high[0] - low[0], 0.0]))
