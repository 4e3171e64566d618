"""From a planned tracklet to its frames, and a sheet that shows why a visible and an infrared tracklet match."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from projects.SyntheticPeople.camera import draw_camera, draw_view, expose
from projects.SyntheticPeople.figure import Figure
from projects.SyntheticPeople.person import FULL_LIGHT, Palette, Person, draw_person, walk
from projects.SyntheticPeople.plan import Stream, SyntheticSettings, TrackletPlan, plan_tracklets
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.files import replace_atomically

OVERSAMPLING = 2  # Figures are drawn this much larger than a frame and averaged down, which smooths their edges.
FRAMES_WIDE = 5  # Width of a panorama in frames; walkers who pass its end see its beginning again.


class Walker:
    """A person on a walk under a camera, who can be drawn into each of its frames.

    Attributes:
        travelled: (T,) by how many pixels a crop around the person has moved over the surroundings since the first one.
    """

    def __init__(self, settings: SyntheticSettings, person: Person, plan: TrackletPlan) -> None:
        rng, gait, (height, width) = settings.rng(Stream.WALK, *plan.walk), person.gait, settings.size
        camera, step = draw_camera(settings, plan.camera), 4 * gait.frequency * np.sin(gait.leg_swing) * person.body.leg
        self._view, self.travelled = draw_view(rng, camera, person.body.height, plan.frames, settings.size, step)
        phase = 2 * np.pi * (rng.uniform() + gait.frequency * np.arange(plan.frames, dtype=np.float64))
        self._joints = {name: OVERSAMPLING * self._view.project(points) for name, points in walk(person, phase).items()}
        # The infrared lamp sits beside the lens and casts no shade to one side.
        light = camera.light if plan.modality is Modality.VISIBLE else 0.0
        self._figure = Figure(person, self._view, light, (OVERSAMPLING * height, OVERSAMPLING * width))
        self._palette = person.palette

    def paint(self, scene: NDArray[np.float32], frame: int) -> NDArray[np.float32]:
        """The part of the surroundings within the crop, (H, W, channels), with the person in front of it."""
        scale = float(self._view.scale[frame])
        _cast_shadow(scene, self._view.origin[frame], scale)
        self._figure.draw({name: points[frame] for name, points in self._joints.items()}, OVERSAMPLING * scale)
        return _paste(scene, self._figure.planes, self._palette)


def render_tracklet(settings: SyntheticSettings, person: Person, plan: TrackletPlan) -> Iterator[NDArray[np.uint8]]:
    """Draws a tracklet frame by frame.

    They are (H, W, 3) blue, green, red for a visible tracklet, and depend on the palette's colours only; (H, W, 1) for
    an infrared one, from its infrared levels.
    """
    sensor_rng = settings.rng(Stream.SENSOR, plan.pid, int(plan.modality), plan.number)
    camera, width, walker = draw_camera(settings, plan.camera), settings.size[1], Walker(settings, person, plan)
    surroundings = panorama(settings, plan.camera, plan.modality)
    start = sensor_rng.uniform(0, FRAMES_WIDE) * width
    for frame, moved in enumerate(walker.travelled.tolist()):
        columns = (int(start + moved) + np.arange(width)) % surroundings.shape[1]
        scene = surroundings[:, columns].astype(np.float32)
        yield expose(sensor_rng, camera, plan.modality, walker.paint(scene, frame))


def _cast_shadow(scene: NDArray[np.float32], ground: NDArray[np.float64], scale: float) -> None:
    """Darkens the ground below the feet."""
    x, y = (np.arange(side) - middle for side, middle in zip(scene.shape[1::-1], ground, strict=True))
    spread = np.outer(np.exp(-((y / (0.035 * scale)) ** 2)), np.exp(-((x / (0.2 * scale)) ** 2)))
    scene *= (1 - 0.5 * spread).astype(np.float32)[:, :, None]


def _paste(scene: NDArray[np.float32], planes: NDArray[np.uint8], palette: Palette) -> NDArray[np.float32]:
    """The scene, (H, W, channels), with a figure's planes, which are larger, in front of it."""
    looks = palette.visible if scene.shape[-1] == 3 else palette.infrared[:, None]
    # Of each material: its looks, room for the shade, and whether it is one.
    table = np.pad(looks, ((0, 0), (0, 2)))
    table[1:, -1] = 255
    layers = table.take(planes[..., 0], axis=0)
    layers[..., -2] = planes[..., 1]
    small = cv2.resize(layers, scene.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    there, shade = small[..., -1:] / np.float32(255), small[..., -2:-1] / np.float32(FULL_LIGHT)
    return scene * (1 - there) + small[..., :-2] * shade


@lru_cache(maxsize=64)
def panorama(settings: SyntheticSettings, camera: int, modality: Modality) -> NDArray[np.uint8]:
    """The surroundings of a camera, one for either sensor, as sensors are seldom mounted side by side.

    Returns:
        (H, FRAMES_WIDE * W, channels) with 3 channels (blue, green, red) or 1 (infrared); treat as read-only.
    """
    rng = settings.rng(Stream.SCENE, camera, int(modality))
    height, width = settings.size[0], FRAMES_WIDE * settings.size[1]

    def paint() -> tuple[int, ...]:
        tones = rng.uniform(60, 190) + rng.normal(0, 10, 3)
        return tuple(tones.astype(int).tolist()) if modality is Modality.VISIBLE else (int(tones[0] / 1.3),)

    sky, ground, first, second = (paint() for _ in range(4))
    horizon, pitch = (int(height * rng.uniform(low, high)) for low, high in ((0.45, 0.72), (0.25, 0.45)))
    thick = max(1, height // 96)
    picture = np.empty((height, width, len(sky)), np.uint8)
    picture[:horizon], picture[horizon:] = sky, ground
    for x in range(0, width, pitch):
        if (camera + modality) % 2:  # Trees.
            cv2.rectangle(picture, (x, 0), (x + 4 * thick, horizon + 3 * thick), first, -1)
            for dx, y, radius in rng.uniform((-0.25, -0.05, 0.04), (0.25, 0.4, 0.11), (10, 3)) * height:
                cv2.circle(picture, (int(x + dx), int(y)), int(radius), second, -1, cv2.LINE_AA)
            continue
        for y in range(-pitch // 6, horizon - pitch // 2, pitch):  # Windows.
            right, low = x + pitch // 2, y + 7 * pitch // 12
            cv2.rectangle(picture, (x, y), (right, low), first, -1)
            cv2.rectangle(picture, (x + 2 * thick, y + 2 * thick), (right - 2 * thick, low - 2 * thick), second, -1)
    # Uneven light, fine texture, and a background slightly out of focus.
    uneven = cv2.resize(rng.normal(1, 0.12, (4, 12)), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.normal(0, 0.05, (height // 2, width // 2)), (width, height))
    worn = cv2.GaussianBlur(picture * (uneven + grain)[:, :, None], (0, 0), max(0.4, 0.006 * height))
    return np.clip(worn, 0, 255).astype(np.uint8).reshape(picture.shape)


def write_preview(settings: SyntheticSettings, file: Path, identities: int = 8) -> None:
    """Writes a PNG file with a row for each of the first identities: visible frames, then infrared ones."""
    if file.suffix.lower() != ".png":
        raise ValueError(f"a preview is a PNG file: {file} must end in .png")
    rows = []
    for pid in range(1, min(identities, settings.train_identities) + 1):
        person, plans, cells = draw_person(settings, pid), plan_tracklets(settings, [pid], settings.tracklets), []
        for modality in (Modality.VISIBLE, Modality.INFRARED):
            for plan in [plan for plan in plans if plan.modality is modality][:2]:
                frames = list(render_tracklet(settings, person, plan))
                cells += [np.broadcast_to(frames[pick], (*settings.size, 3)) for pick in (0, len(frames) // 2, -1)]
                cells.append(np.full((settings.size[0], 4, 3), 255, np.uint8))
        row = np.hstack(cells)
        rows += [row, np.full((4, row.shape[1], 3), 255, np.uint8)]
    factor = max(1, round(160 / settings.size[0]))
    sheet = cv2.resize(np.vstack(rows), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    replace_atomically(file, lambda part: part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes()))
