"""Cameras: how a view onto a walker moves, and what the visible and the infrared sensor make of the light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from projects.SyntheticPeople.person import Floats
from projects.SyntheticPeople.plan import Stream, SyntheticSettings
from xreid_plugin.data.tracklet import Modality

# Radians between a camera's axis and the walking direction: front, oblique, side, nearly front.
_YAWS = (0.1, 0.75, 1.2, 0.4)


@dataclass(frozen=True, eq=False)
class Camera:
    """One place with a visible and an infrared sensor; shares are of the frame's height."""

    yaw: float  # Radians away from a view of the person's front; each tracklet mirrors it at random.
    pitch: float  # By how much nearer things move down, in heights per depth.
    scale: float  # Share that a person of height 1 takes.
    light: float  # Direction that visible light comes from, -1 (left) to 1 (right).
    gain: Floats  # (3,) of the visible sensor for blue, green, red.
    offset: float  # Of the visible sensor, in grey levels.
    noise: tuple[float, float]  # Standard deviation, by modality, in grey levels.
    blur: float  # Standard deviation of both lenses' blur, as a share.
    infrared_gain: float
    falloff: float  # How much of the infrared lamp's light is missing at the frame's corners, 0 to 1.


@dataclass(frozen=True, eq=False)
class View:
    """A camera's view onto one walker in T frames."""

    yaw: float  # Radians; negative when the person walks to the left.
    pitch: float  # As the camera's.
    scale: Floats  # (T,) pixels per body height.
    origin: Floats  # (T, 2) x and y, in pixels, of the point on the ground below the person.

    def project(self, points: Floats) -> Floats:
        """Body frame (T, ..., 3) to pixels (T, ..., 2), x to the right and y down."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        near = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        flat = np.stack([x * np.cos(self.yaw) + z * np.sin(self.yaw), self.pitch * near - y], axis=-1)
        frames = (-1, *[1] * (points.ndim - 2))
        return self.origin.reshape(*frames, 2) + self.scale.reshape(*frames, 1) * flat

    def half_width(self, width: float | Floats, depth: float | Floats) -> Floats:
        """Half the projected width of an upright elliptic cylinder, in the unit of its two axes."""
        return np.hypot(width * np.cos(self.yaw), depth * np.sin(self.yaw)) / 2


def draw_camera(settings: SyntheticSettings, camera: int) -> Camera:
    """The camera of number ``camera``, counted from 1."""
    rng = settings.rng(Stream.CAMERA, camera)
    return Camera(
        yaw=_YAWS[(camera - 1) % len(_YAWS)] + rng.uniform(-0.12, 0.12),
        pitch=rng.uniform(0.05, 0.3),
        scale=rng.uniform(0.84, 0.92),
        light=rng.uniform(-0.7, 0.7),
        gain=rng.uniform(0.9, 1.1, 3) * rng.uniform(0.8, 1.1),
        offset=rng.uniform(-8, 14),
        noise=(rng.uniform(3, 9), rng.uniform(2, 7)),
        blur=rng.uniform(0, 0.006),
        infrared_gain=rng.uniform(0.82, 1.08),
        falloff=rng.uniform(0.1, 0.45),
    )


def draw_view(
    rng: np.random.Generator, camera: Camera, height: float, frames: int, size: tuple[int, int], step: float
) -> tuple[View, Floats]:
    """A slightly unsteady crop, in a frame of (H, W) pixels, around a walker of some height relative to other people's.

    Returns:
        The view in T frames, and (T,) by how many pixels the surroundings have moved to the left since the first one,
        as the person walks ``step`` body heights per frame.
    """
    yaw = float(rng.choice([-1, 1]) * camera.yaw + rng.uniform(-0.12, 0.12))
    wobble = np.cumsum(rng.normal(0, 0.003, (frames, 3)), axis=0)
    wobble -= wobble.mean(axis=0)
    rows, columns = size
    # Feet never leave the frame, and a bounding box that is a little off keeps being off all through a tracklet.
    scale = np.minimum(rows * camera.scale * height * (1 + rng.uniform(-0.04, 0.03) + wobble[:, 0]), 0.97 * rows)
    x = columns * (0.5 + rng.uniform(-0.06, 0.06) + wobble[:, 1])
    y = rows - (rows - scale) * np.clip(rng.uniform(0.25, 0.6) + 8 * wobble[:, 2], 0.1, 0.9)
    travelled = np.arange(frames) * step * np.sin(yaw) * scale.mean()
    return View(yaw, camera.pitch, scale, np.stack([x, y], axis=-1)), travelled


def expose(
    rng: np.random.Generator, camera: Camera, modality: Modality, scene: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The picture that a camera's sensor takes of the light of a scene, (H, W, channels), 0 to 255."""
    height, width = scene.shape[:2]
    # OpenCV drops the last axis of a picture of one channel.
    light = cv2.GaussianBlur(scene, (0, 0), max(0.2, camera.blur * height)).reshape(scene.shape)
    picture = light + camera.noise[modality] * rng.standard_normal(scene.shape, np.float32)
    if modality is Modality.VISIBLE:
        picture = camera.gain * picture + camera.offset
    else:
        # A lamp beside the lens lights the middle most; uncooled sensors show their rows.
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        lamp = camera.infrared_gain * (1 - camera.falloff * (x**2 + y**2) / 2)
        picture = lamp[:, :, None] * picture + 2.5 * rng.standard_normal((height, 1, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)
