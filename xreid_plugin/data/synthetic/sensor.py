"""What a camera's two sensors make of the light that reaches them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.camera import Camera
from xreid_plugin.data.tracklet import Modality

_NOISE_MARGIN = 24
_BLOOM_FROM = np.float32(150)


@dataclass(frozen=True, eq=False)
class Sensor:
    """Turns scenes of one tracklet, float32 (H, W, channels), into frames.

    Attributes:
        gain: float32, broadcasts against a scene.
        offset: grey levels.
        blur: standard deviation in pixels; 0 for none.
        bloom: share of bright light that spills.
        noise: float32 (H + margin, W + margin, channels), of which each frame uses a window.
        windows: (T, 2) upper left corners of those windows.
    """

    gain: NDArray[np.float32]
    offset: float
    blur: float
    bloom: float
    noise: NDArray[np.float32]
    windows: NDArray[np.int64]

    def expose(self, scene: NDArray[np.float32], frame: int) -> NDArray[np.uint8]:
        """The picture of one frame, (H, W, channels)."""
        height, width = scene.shape[:2]
        light = _blurred(scene, self.blur) if self.blur > 0.2 else scene
        if self.bloom:
            light = light + np.float32(self.bloom) * _blurred(np.maximum(light - _BLOOM_FROM, 0), 0.025 * height)
        y, x = self.windows[frame]
        picture = light * self.gain + self.noise[y : y + height, x : x + width]
        return np.clip(picture + np.float32(self.offset), 0, 255).astype(np.uint8)


def _blurred(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    # OpenCV drops the last axis of a picture of one channel.
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32).reshape(picture.shape)


def make_sensor(
    rng: np.random.Generator, camera: Camera, modality: Modality, frames: int, size: tuple[int, int]
) -> Sensor:
    """The camera's sensor for one tracklet of T frames."""
    height, width = size
    visible = modality is Modality.VISIBLE
    shape = (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3 if visible else 1)
    noise = camera.noise[0 if visible else 1] * rng.standard_normal(shape, dtype=np.float32)
    if not visible:
        # Uncooled infrared sensors show their rows and columns.
        noise += 2.5 * rng.standard_normal((shape[0], 1, 1), dtype=np.float32)
    gain = camera.gain * np.array(camera.tint) if visible else camera.infrared_gain * _lamp(camera, size)
    return Sensor(
        gain=gain.astype(np.float32),
        offset=camera.offset if visible else 0.0,
        blur=camera.blur * height,
        bloom=0.0 if visible else camera.bloom,
        noise=noise,
        windows=rng.integers(0, _NOISE_MARGIN, (frames, 2)),
    )


def _lamp(camera: Camera, size: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W, 1) light of an infrared lamp beside the lens: brightest in the middle."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in size), indexing="ij")
    return (1 - camera.falloff * np.clip((x**2 + y**2) / 2, 0, 1))[:, :, None]
