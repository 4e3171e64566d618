"""From a planned tracklet to its frames."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.camera import draw_camera, draw_view
from xreid_plugin.data.synthetic.canvas import FULL_LIGHT, Canvas
from xreid_plugin.data.synthetic.figure import draw_walk
from xreid_plugin.data.synthetic.gait import walk
from xreid_plugin.data.synthetic.palette import Palette
from xreid_plugin.data.synthetic.person import Person
from xreid_plugin.data.synthetic.plan import TrackletPlan
from xreid_plugin.data.synthetic.scene import FRAMES_WIDE, Occluder, draw_occluder, panorama
from xreid_plugin.data.synthetic.sensor import make_sensor
from xreid_plugin.data.synthetic.settings import Stream, SyntheticSettings
from xreid_plugin.data.synthetic.textures import dress
from xreid_plugin.data.synthetic.walker import Walker
from xreid_plugin.data.tracklet import Modality

OVERSAMPLING = 2
"""Figures are drawn this much larger than a frame and averaged down, which smooths their edges."""


def render_tracklet(settings: SyntheticSettings, person: Person, plan: TrackletPlan) -> Iterator[NDArray[np.uint8]]:
    """Draws a tracklet frame by frame.

    An infrared frame depends on the palette's infrared levels only, a visible one on its colours only.

    Yields:
        (H, W, 3) blue, green, red for a visible tracklet; (H, W, 1) for an infrared one.
    """
    rng = settings.rng(Stream.WALK, *plan.walk)
    camera = draw_camera(settings, plan.camera)
    gait, body = person.gait, person.body
    step = 4 * gait.frequency * np.sin(gait.leg_swing) * body.leg
    view, travelled = draw_view(rng, camera, body.height, plan.frames, settings.size, step)
    phase = 2 * np.pi * (rng.uniform() + gait.frequency * np.arange(plan.frames, dtype=np.float64))
    # The infrared lamp sits beside the lens and casts no shade to one side.
    light = camera.light if plan.modality is Modality.VISIBLE else 0.0
    walker = Walker(body, person.outfit, dress(rng, person.outfit, light), view)

    rng = settings.rng(Stream.SENSOR, plan.pid, int(plan.modality), plan.number)
    sensor = make_sensor(rng, camera, plan.modality, plan.frames, settings.size)
    occluder = draw_occluder(rng, travelled, settings.size, plan.modality)
    surroundings = panorama(settings, plan.camera, plan.modality)
    start = rng.uniform(0, FRAMES_WIDE) * settings.size[1]

    height, width = settings.size
    canvas = Canvas(OVERSAMPLING * height, OVERSAMPLING * width)
    walk_on_canvas = draw_walk(canvas, walker, walk(body, gait, phase), OVERSAMPLING)
    for frame, planes in enumerate(walk_on_canvas):
        columns = (int(start + travelled[frame]) + np.arange(width)) % surroundings.shape[1]
        scene = surroundings[:, columns].astype(np.float32)
        _cast_shadow(scene, view.origin[frame], float(view.scale[frame]))
        scene = _paste_person(scene, planes, person.palette, plan.modality)
        if occluder is not None:
            _paste_occluder(scene, occluder, int(occluder.left[frame]))
        yield sensor.expose(scene, frame)


def _paste_person(
    scene: NDArray[np.float32], planes: NDArray[np.uint8], palette: Palette, modality: Modality
) -> NDArray[np.float32]:
    material, shade = planes[..., 0].copy(), planes[..., 1].copy()
    if modality is Modality.VISIBLE:
        looks = cv2.applyColorMap(material, _table(palette.visible))
    else:
        looks = cv2.LUT(material, _table(palette.infrared[:, None])[:, 0, 0])
    size = scene.shape[1::-1]
    light, lit, there = (
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
        for plane in (looks, shade, np.where(material, np.uint8(255), np.uint8(0)))
    )
    behind = 1 - there[:, :, None] / np.float32(255)
    shaded = lit[:, :, None] / np.float32(FULL_LIGHT)
    return scene * behind + light.reshape(scene.shape) * shaded


def _table(looks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(256, 1, channels) lookup table; OpenCV wants one for all values of a byte."""
    table = np.zeros((256, 1, looks.shape[1]), np.uint8)
    table[: len(looks), 0] = looks
    return table


def _cast_shadow(scene: NDArray[np.float32], ground: NDArray[np.float64], scale: float) -> None:
    """Darkens the ground below the feet."""
    height, width = scene.shape[:2]
    top = max(0, int(ground[1] - 0.07 * scale))
    y, x = np.arange(top, height)[:, None], np.arange(width)[None, :]
    distance = ((x - ground[0]) / (0.2 * scale)) ** 2 + ((y - ground[1]) / (0.035 * scale)) ** 2
    scene[top:] *= (1 - 0.5 * np.exp(-distance)).astype(np.float32)[:, :, None]


def _paste_occluder(scene: NDArray[np.float32], occluder: Occluder, left: int) -> None:
    first, end = max(0, left), min(scene.shape[1], left + occluder.picture.shape[1])
    if first < end:
        part = np.s_[:, first - left : end - left]
        scene[:, first:end] += occluder.cover[part] * (occluder.picture[part] - scene[:, first:end])
