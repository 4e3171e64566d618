"""Drawing of materials and shades: what is where on a person, before any sensor gives it a colour."""

from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.pattern import COLUMNS, ROWS

Floats = NDArray[np.float64]
Texture = NDArray[np.uint8]
"""(ROWS, COLUMNS, 2): material, and shade in units of 1 / FULL_LIGHT."""

FULL_LIGHT = 200
"""The shade that leaves a material as bright as its palette says; 255 is the brightest."""

_SUBPIXEL_BITS = 4
_HALF_CIRCLE = np.stack([f(np.linspace(-np.pi / 2, np.pi / 2, 7)) for f in (np.cos, np.sin)], axis=-1)


def make_texture(
    materials: NDArray[np.uint8], light: float, folds: NDArray[np.float32], brightness: float = 1.0
) -> Texture:
    """A garment wrapped around an upright cylinder and lit from one side.

    Args:
        materials: (ROWS, COLUMNS) values of Material.
        light: -1 (from the left) to 1 (from the right).
        folds: (ROWS, COLUMNS) relative brightness of the cloth, about 1.
        brightness: the whole part's brightness, 0 to 1.
    """
    across = np.linspace(-0.97, 0.97, COLUMNS)
    towards = np.hypot(1, light)
    lit = np.maximum(0, across * light + np.sqrt(1 - across**2)) / towards
    shade = brightness * FULL_LIGHT * (0.45 + 0.64 * lit) * folds
    return np.stack([materials, np.clip(shade, 0, 255).astype(np.uint8)], axis=-1)


class Canvas:
    """A plane of materials and one of shades, filled shape by shape from back to front."""

    def __init__(self, height: int, width: int) -> None:
        self.planes = np.zeros((height, width, 2), np.uint8)
        self._mask = np.zeros((height, width), np.uint8)

    def clear(self) -> None:
        """Removes all shapes; what is left has full light, so that a person's outline does not darken."""
        self.planes[..., 0] = Material.NOTHING
        self.planes[..., 1] = FULL_LIGHT

    def fill(self, points: Floats, material: Material, shade: float = 1.0) -> None:
        """Fills a polygon, (N, 2) pixels, evenly."""
        cv2.fillPoly(
            self.planes, [_fixed(points)], (int(material), int(shade * FULL_LIGHT), 0), cv2.LINE_8, _SUBPIXEL_BITS
        )

    def line(self, start: Floats, end: Floats, width: float, material: Material, shade: float = 1.0) -> None:
        """Draws a straight stroke of the given width in pixels."""
        self.fill(capsule(start, end, width / 2, width / 2), material, shade)

    def cover(
        self,
        points: Floats,
        texture: Texture,
        top: Floats,
        down: Floats,
        across: Floats,
        rows: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Covers a polygon with a texture.

        Args:
            points: (N, 2) pixels.
            texture: what to lay on it; its edge texels continue beyond it.
            top: (2,) pixel that gets the middle of the texture's upper row.
            down: (2,) from there to the lower row.
            across: (2,) from the texture's left to its right column.
            rows: the part of the texture to use, 0 to 1; ``top`` and ``down`` refer to its rows.
        """
        height, width = self._mask.shape
        outline = _fixed(points)
        left, upper, breadth, tall = cv2.boundingRect(outline)
        unit = 1 << _SUBPIXEL_BITS
        x0, y0 = max(0, left // unit - 1), max(0, upper // unit - 1)
        x1, y1 = min(width, (left + breadth) // unit + 2), min(height, (upper + tall) // unit + 2)
        if x0 >= x1 or y0 >= y1:
            return
        box = np.s_[y0:y1, x0:x1]
        to_texel = _texel_map(top, down, across, rows, (x0, y0))
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(texture, to_texel, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        cv2.fillPoly(self._mask, [outline], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.copyTo(laid, self._mask[box], self.planes[box])
        self._mask[box] = 0

    def limb(
        self,
        start: Floats,
        end: Floats,
        radii: tuple[float, float],
        texture: Texture,
        rows: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Covers a tapered limb between two joints; radii in pixels, rows as in ``cover``."""
        down = end - start
        length = max(hypot(*down.tolist()), 1e-6)
        # A limb that points at the camera has no direction to speak of: keep its texture upright.
        down = down if length > radii[0] / 2 else vector(0, radii[0])
        across = vector(down[1], -down[0]) * (2 * max(radii) / max(length, radii[0] / 2))
        self.cover(capsule(start, end, *radii), texture, start, down, across, rows)


def vector(x: float, y: float) -> Floats:
    """A point or an offset in pixels, (2,)."""
    return np.array([x, y], np.float64)


def capsule(start: Floats, end: Floats, start_radius: float, end_radius: float) -> Floats:
    """Outline, (14, 2), of a limb with round ends."""
    x, y = (end - start).tolist()
    length = hypot(x, y)
    x, y = (x / length, y / length) if length > 1e-6 else (0.0, 1.0)
    cap = _HALF_CIRCLE @ np.array([[x, y], [-y, x]])
    return np.concatenate([end + end_radius * cap, start - start_radius * cap])


def ellipse(centre: Floats, radii: tuple[float, float], sides: int = 20) -> Floats:
    """Outline, (sides, 2), of an upright ellipse."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return centre + np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], axis=-1)


def _fixed(points: Floats) -> NDArray[np.int32]:
    # Pixel centres are at whole numbers for the drawing functions, at halves for the geometry.
    return np.rint((points - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _texel_map(
    top: Floats, down: Floats, across: Floats, rows: tuple[float, float], corner: tuple[int, int]
) -> NDArray[np.float64]:
    """(2, 3) matrix from pixels of a box with the given upper left corner to texels."""
    # Plain numbers: for so few of them, arrays would take most of the drawing time.
    (top_x, top_y), (down_x, down_y), (across_x, across_y) = top.tolist(), down.tolist(), across.tolist()
    determinant = across_x * down_y - across_y * down_x
    columns, texels = COLUMNS / determinant, (rows[1] - rows[0]) * ROWS / determinant
    x, y = corner[0] + 0.5 - top_x, corner[1] + 0.5 - top_y
    return np.array(
        [
            [columns * down_y, -columns * down_x, columns * (down_y * x - down_x * y) + 0.5 * COLUMNS - 0.5],
            [-texels * across_y, texels * across_x, texels * (across_x * y - across_y * x) + rows[0] * ROWS - 0.5],
        ]
    )
