"""A walker as a drawing: joints and outfit to materials and shades, back to front."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.canvas import Canvas, vector
from xreid_plugin.data.synthetic.gait import Pose
from xreid_plugin.data.synthetic.head import draw_hair_behind, draw_head
from xreid_plugin.data.synthetic.luggage import draw_backpack, draw_handbag, draw_shoulder_bag, draw_straps
from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.person import Bag, Bottom
from xreid_plugin.data.synthetic.walker import Moment, Walker

Floats = NDArray[np.float64]

_FAR, _NEAR = 0, 1


def draw_walk(canvas: Canvas, walker: Walker, pose: Pose, oversampling: int) -> Iterator[NDArray[np.uint8]]:
    """Draws frame after frame onto one canvas, which is ``oversampling`` times as large as a frame.

    Yields:
        (H, W, 2) the canvas's planes, material and shade, valid until the next one is asked for.
    """
    names = ("pelvis", "shoulders", "elbows", "wrists", "hips", "knees", "ankles", "toes")
    joints = {name: walker.view.project(getattr(pose, name)) for name in names}
    near = int(walker.view.yaw < 0)
    for frame, scale in enumerate(walker.view.scale):
        at = {name: oversampling * values[frame] for name, values in joints.items()}
        canvas.clear()
        _draw_figure(canvas, walker, Moment(scale=float(oversampling * scale), far=1 - near, near=near, **at))
        yield canvas.planes


def _draw_figure(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    bag, sideways = walker.outfit.bag, abs(np.sin(walker.view.yaw)) > 0.3
    if bag is Bag.BACKPACK:
        draw_backpack(canvas, walker, moment)
    draw_hair_behind(canvas, walker, moment)
    if sideways:
        _draw_arm(canvas, walker, moment, moment.far, _FAR)
    _draw_leg(canvas, walker, moment, moment.far, _FAR)
    _draw_leg(canvas, walker, moment, moment.near, _NEAR)
    if walker.outfit.bottom in (Bottom.SKIRT, Bottom.LONG_SKIRT):
        _draw_skirt(canvas, walker, moment)
    _draw_torso(canvas, walker, moment)
    draw_head(canvas, walker, moment)
    if bag is Bag.BACKPACK:
        draw_straps(canvas, walker, moment)
    if bag is Bag.SHOULDER_BAG:
        draw_shoulder_bag(canvas, walker, moment)
    if not sideways:
        _draw_arm(canvas, walker, moment, moment.far, _NEAR)
    if bag is Bag.HANDBAG:
        draw_handbag(canvas, walker, moment)
    _draw_arm(canvas, walker, moment, moment.near, _NEAR)


def _draw_leg(canvas: Canvas, walker: Walker, moment: Moment, side: int, distance: int) -> None:
    hip, knee, ankle = moment.hips[side], moment.knees[side], moment.ankles[side]
    thick = walker.body.limbs * moment.scale
    cloth, skin = walker.wardrobe.legs[distance], walker.wardrobe.skin[distance]
    shade = (0.75, 1.0)[distance]
    thigh = (0.066 * thick, 0.05 * thick)
    canvas.fill(
        np.concatenate([(ankle + vector(0, -0.02 * thick))[None], _sole(moment, side, 0.03 * thick)]),
        Material.SHOES,
        shade,
    )
    if walker.outfit.bottom is Bottom.TROUSERS:
        canvas.limb(knee, ankle, (0.05 * thick, 0.034 * thick * walker.body.flare), cloth, (0.5, 1.0))
        canvas.limb(hip, knee, thigh, cloth, (0.0, 0.5))
        return
    canvas.limb(knee, ankle, (0.043 * thick, 0.026 * thick), skin, (0.3, 0.6))
    canvas.limb(hip, knee, thigh, skin, (0.0, 0.3))
    if walker.outfit.bottom is Bottom.SHORTS:
        canvas.limb(hip, hip + 0.85 * (knee - hip), (0.07 * thick, 0.066 * thick), cloth)


def _sole(moment: Moment, side: int, radius: float) -> Floats:
    heel, toe = moment.ankles[side], moment.toes[side]
    return np.array(
        [
            heel + vector(-radius, 0),
            heel + vector(-radius, radius),
            toe + vector(-radius, 1.2 * radius),
            toe + vector(radius, 1.2 * radius),
            heel + vector(radius, radius),
            heel + vector(radius, 0),
        ]
    )


def _draw_arm(canvas: Canvas, walker: Walker, moment: Moment, side: int, distance: int) -> None:
    shoulder, elbow, wrist = moment.shoulders[side], moment.elbows[side], moment.wrists[side]
    thick = walker.body.limbs * moment.scale
    sleeve, skin = walker.wardrobe.sleeves[distance], walker.wardrobe.skin[distance]
    hand = wrist + 0.12 * (wrist - elbow)
    canvas.limb(wrist, hand, (0.024 * thick, 0.022 * thick), skin)
    lower = sleeve if walker.outfit.long_sleeves else skin
    canvas.limb(elbow, wrist, (0.032 * thick, 0.024 * thick), lower, (0.25, 0.5))
    canvas.limb(shoulder, elbow, (0.04 * thick, 0.033 * thick), lower, (0.0, 0.25))
    if not walker.outfit.long_sleeves:
        canvas.limb(shoulder, shoulder + 0.62 * (elbow - shoulder), (0.045 * thick, 0.043 * thick), sleeve, (0.0, 0.2))


def _draw_torso(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    body, half = walker.body, walker.view.half_width
    hem = 0.3 if walker.outfit.coat else 0.06
    # Heights in body heights above the pelvis, from collar to hem, and half the width of the body there.
    levels = np.array([1.03, 1.0, 0.9, 0.6, 0.28, 0.02]) * body.torso
    widths = [
        half(0.32 * body.shoulders, 0.3 * body.depth),
        half(0.8 * body.shoulders, 0.6 * body.depth),
        half(body.shoulders, 0.85 * body.depth),
        half(0.92 * body.shoulders, body.depth),
        half(body.waist, 0.95 * body.depth),
        half(body.hips, body.depth),
        half(body.hips * (1.15 if walker.outfit.coat else 1.0), body.depth),
    ]
    right = np.stack([widths, -np.append(levels, -hem)], axis=-1)
    outline = moment.pelvis + moment.scale * np.concatenate([right, right[::-1] * [-1, 1]])
    top = moment.pelvis - vector(0, moment.scale * body.torso)
    down = vector(0, moment.scale * (body.torso + hem))
    canvas.cover(outline, walker.wardrobe.torso, top, down, vector(2 * moment.scale * max(widths), 0))


def _draw_skirt(canvas: Canvas, walker: Walker, moment: Moment) -> None:
    body, scale = walker.body, moment.scale
    share, flare = (0.46, 1.25) if walker.outfit.bottom is Bottom.SKIRT else (0.86, 1.4)
    waist = scale * walker.view.half_width(0.95 * body.hips, body.depth)
    hem_y = moment.pelvis[1] + scale * share * body.leg
    # The hem hangs around the legs, so that it swings with them.
    legs = moment.knees if walker.outfit.bottom is Bottom.SKIRT else (moment.knees + moment.ankles) / 2
    left = min(legs[:, 0].min() - 0.05 * scale * body.limbs, moment.pelvis[0] - flare * waist)
    right = max(legs[:, 0].max() + 0.05 * scale * body.limbs, moment.pelvis[0] + flare * waist)
    top = moment.pelvis - vector(0, 0.05 * scale)
    outline = np.array([[top[0] - waist, top[1]], [top[0] + waist, top[1]], [right, hem_y], [left, hem_y]])
    middle = vector((left + right) / 2, hem_y)
    canvas.cover(outline, walker.wardrobe.skirt, top, middle - top, vector(right - left, 0))
