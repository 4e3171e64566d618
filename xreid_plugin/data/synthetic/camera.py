"""Cameras: where they stand, what their two sensors do to a picture, and how a tracklet's view onto a walker moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.settings import Stream, SyntheticSettings

Floats = NDArray[np.float64]

_YAWS = (0.1, 0.75, 1.2, 0.4)
"""Radians between a camera's axis and the walking direction: front, oblique, side, nearly front."""


@dataclass(frozen=True)
class Camera:
    """One place with a visible and an infrared sensor.

    Attributes:
        yaw: radians away from a view of the person's front; each tracklet mirrors it at random.
        pitch: by how much nearer things move down, in heights per depth.
        scale: height of a person of height 1 as a share of the frame's height.
        light: direction that visible light comes from, -1 (left) to 1 (right).
        tint: gains of blue, green, red.
        gain, offset: the visible sensor's; offset in grey levels.
        noise: standard deviation of the visible and the infrared sensor's noise, in grey levels.
        blur: standard deviation of both lenses' blur, in shares of the frame's height.
        infrared_gain: the infrared sensor's.
        falloff: how much of the infrared lamp's light is missing at the frame's corners.
        bloom: share of bright infrared light that spills onto its surroundings.
    """

    yaw: float
    pitch: float
    scale: float
    light: float
    tint: tuple[float, float, float]
    gain: float
    offset: float
    noise: tuple[float, float]
    blur: float
    infrared_gain: float
    falloff: float
    bloom: float


@dataclass(frozen=True, eq=False)
class View:
    """A camera's view onto one walker, frame by frame.

    Attributes:
        yaw: radians; negative when the person walks to the left.
        pitch: see Camera.
        scale: (T,) pixels per body height.
        origin: (T, 2) x and y, in pixels, of the point on the ground below the person.
    """

    yaw: float
    pitch: float
    scale: Floats
    origin: Floats

    def project(self, points: Floats) -> Floats:
        """Body frame (T, ..., 3) to pixels (T, ..., 2), x to the right and y down."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        near = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        flat = np.stack([x * np.cos(self.yaw) + z * np.sin(self.yaw), self.pitch * near - y], axis=-1)
        spread = (slice(None), *([None] * (points.ndim - 2)))
        return self.origin[spread] + self.scale[(*spread, None)] * flat

    def half_width(self, width: float, depth: float) -> float:
        """Half the projected width of an upright elliptic cylinder, in the unit of its two axes."""
        return float(np.hypot(width * np.cos(self.yaw), depth * np.sin(self.yaw)) / 2)


def draw_camera(settings: SyntheticSettings, camera: int) -> Camera:
    """The camera of number ``camera``, counted from 1."""
    rng = settings.rng(Stream.CAMERA, camera)
    blue, green, red = rng.uniform(0.9, 1.1, 3)
    return Camera(
        yaw=_YAWS[(camera - 1) % len(_YAWS)] + rng.uniform(-0.12, 0.12),
        pitch=rng.uniform(0.05, 0.3),
        scale=rng.uniform(0.84, 0.92),
        light=rng.uniform(-0.7, 0.7),
        tint=(blue, green, red),
        gain=rng.uniform(0.8, 1.1),
        offset=rng.uniform(-8, 14),
        noise=(rng.uniform(2, 7), rng.uniform(3, 9)),
        blur=rng.uniform(0, 0.006),
        infrared_gain=rng.uniform(0.82, 1.08),
        falloff=rng.uniform(0.1, 0.45),
        bloom=rng.uniform(0.1, 0.35),
    )


def draw_view(
    rng: np.random.Generator, camera: Camera, height: float, frames: int, size: tuple[int, int], step: float
) -> tuple[View, Floats]:
    """A tracklet's view: a slightly unsteady crop around the walker.

    Args:
        rng: source of the tracklet's draws.
        camera: the camera that looks.
        height: the person's height, relative to other people's.
        frames: T.
        size: height and width of the frame in pixels.
        step: body heights walked per frame.

    Returns:
        The view, and (T,) by how many pixels the surroundings have moved to the left since the first frame.
    """
    yaw = float(rng.choice([-1, 1]) * camera.yaw + rng.uniform(-0.12, 0.12))
    wobble = np.cumsum(rng.normal(0, 0.003, (frames, 3)), axis=0)
    wobble -= wobble.mean(axis=0)
    # Feet never leave the frame, and a bounding box that is a little off keeps being off all through a tracklet.
    rows, columns = size
    scale = rows * camera.scale * height * (1 + rng.uniform(-0.04, 0.03) + wobble[:, 0])
    scale = np.minimum(scale, 0.97 * rows)
    spare = rows - scale
    origin = np.stack(
        [
            columns * (0.5 + rng.uniform(-0.06, 0.06) + wobble[:, 1]),
            rows - spare * np.clip(rng.uniform(0.25, 0.6) + 8 * wobble[:, 2], 0.1, 0.9),
        ],
        axis=-1,
    )
    travelled = np.arange(frames) * step * np.sin(yaw) * scale.mean()
    return View(yaw, camera.pitch, scale, origin), travelled
