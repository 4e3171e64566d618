"""What people carry."""

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.canvas import Canvas, vector
from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.walker import Moment, Walker

Floats = NDArray[np.float64]


def draw_backpack(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """The sack on the back; from the front, its edges stick out beside the chest and above the shoulders."""
    body, view = walker.body, walker.view
    width = view.half_width(1.12 * body.shoulders, 0.2)
    behind = -np.sin(view.yaw) * (body.depth / 2 + 0.06)
    centre = moment.pelvis + moment.scale * vector(behind, -0.62 * body.torso)
    _box(canvas, walker, centre, moment.scale * width, moment.scale * 0.44 * body.torso)
    low = centre + vector(0, 0.28 * moment.scale * body.torso)
    canvas.line(
        low - vector(0.6 * moment.scale * width, 0),
        low + vector(0.6 * moment.scale * width, 0),
        2.0,
        Material.TRIM,
        0.9,
    )


def draw_straps(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """The backpack's straps over the chest."""
    body, view = walker.body, walker.view
    front = 0.45 * body.depth * np.sin(view.yaw)
    for side in (-1.0, 1.0):
        x = 0.27 * side * body.shoulders * np.cos(view.yaw)
        top = moment.pelvis + moment.scale * vector(x, -body.torso)
        low = moment.pelvis + moment.scale * vector(1.25 * x + 0.4 * front, -0.5 * body.torso)
        canvas.line(top, low, 0.032 * moment.scale, Material.BAG)


def draw_handbag(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """A bag that hangs from the nearer hand."""
    hand = moment.wrists[moment.near]
    scale = moment.scale
    half = walker.view.half_width(0.1, 0.19)
    for side in (-1.0, 1.0):
        canvas.line(hand, hand + scale * vector(0.7 * side * half, 0.08), 0.014 * scale, Material.TRIM)
    _box(canvas, walker, hand + vector(0, 0.135 * scale), scale * half, 0.065 * scale)


def draw_shoulder_bag(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    """A strap across the chest and a pouch at the hip of the right side."""
    body, view, scale = walker.body, walker.view, moment.scale
    out = np.cos(view.yaw) * body.shoulders
    front = 0.4 * body.depth * np.sin(view.yaw)
    collar = moment.pelvis + scale * vector(-0.3 * out, -0.98 * body.torso)
    hip = moment.pelvis + scale * vector(0.5 * out + front, -0.02)
    canvas.line(collar, hip, 0.036 * scale, Material.BAG)
    _box(canvas, walker, hip + vector(0, 0.03 * scale), scale * view.half_width(0.11, 0.2), 0.07 * scale)


def _box(canvas: Canvas, walker: Walker, centre: Floats, half_width: float, half_height: float) -> None:
    """A bag with cut corners, and a flap in the trim's look."""
    corners = np.array([[1, -0.7], [1, 0.8], [0.8, 1], [-0.8, 1], [-1, 0.8], [-1, -0.7], [-0.7, -1], [0.7, -1]])
    top = centre - vector(0, half_height)
    down, across = vector(0, 2 * half_height), vector(2 * half_width, 0)
    canvas.cover(centre + corners * [half_width, half_height], walker.wardrobe.bag, top, down, across)
    flap = centre + np.array([[-0.8, -0.4], [0.8, -0.4], [0.8, -0.05], [-0.8, -0.05]]) * [half_width, half_height]
    canvas.fill(flap, Material.TRIM, 0.95)
