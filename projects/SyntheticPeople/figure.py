"""A walker as a drawing: which material is where, under which shade, before any sensor gives it a colour.

Points are (2,) pixels of the drawing, x to the right and y down; outlines are (N, 2).
"""

import cv2
import numpy as np

from projects.SyntheticPeople.camera import View
from projects.SyntheticPeople.person import FULL_LIGHT, ROWS, Floats, Material, Person, Texture, make_texture

# Plain numbers: for so few of them, arrays would take most of the drawing time.
Pair = tuple[float, float]

# Ellipses around the face, by centre and radii in head heights; x grows with the turn of the face to the right.
_CAP = (-0.08, -0.08, 0.4, 0.53)
_HAIR: dict[str, list[tuple[float, float, float, float]]] = {
    "long": [_CAP, (-0.3, 0.4, 0.46, 0.75)],
    "bun": [_CAP, (-0.3, -0.6, 0.24, 0.24)],
    "afro": [(-0.12, -0.2, 0.66, 0.66)],
    "bald": [],
}
_SUBPIXEL_BITS = 4
# (1, 256, 2): materials as they are, and shades as they are behind the near leg.
_BEHIND = np.stack([np.arange(256), 0.78 * np.arange(256)], axis=-1).astype(np.uint8)[None]
_CIRCLE = np.stack([f(np.linspace(-np.pi / 2, 1.5 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], axis=-1)


def _at(x: float, y: float) -> Floats:
    return np.array([x, y], np.float64)


class Figure:
    """Draws one walker under one light, moment by moment, from back to front.

    Attributes:
        planes: (H, W, 2) uint8: material, and shade in units of 1 / FULL_LIGHT.
    """

    def __init__(self, person: Person, view: View, light: float, size: tuple[int, int]) -> None:
        """Cuts the clothes for light from the left (-1) to the right (1); the drawing's size is (H, W)."""
        self.planes = np.zeros((*size, 2), np.uint8)
        self.outfit, self.body, self.view = person.outfit, person.body, view
        self.turn, self.near = float(np.sin(view.yaw)), int(view.yaw < 0)
        self.plain = [make_texture("plain", material, material, light) for material in Material]
        self.top = make_texture(self.outfit.top_pattern, Material.TOP_A, Material.TOP_B, light)
        self.bottom = make_texture(self.outfit.bottom_pattern, Material.BOTTOM_A, Material.BOTTOM_B, light)
        self.torso = _torso(person, view)

    def draw(self, joints: dict[str, Floats], scale: float) -> None:
        """Draws a moment in place of the former one, at ``scale`` pixels per body height.

        Joints are in pixels: "pelvis" (2,), all others (2, 2) for the left and the right side.
        """
        self.at, self.scale = joints, scale
        # Where nothing is drawn there is full light, so that a person's outline does not darken.
        self.planes[:] = Material.NOTHING, FULL_LIGHT
        planes, bag, sideways = self.planes, self.outfit.bag, abs(self.turn) > 0.3
        if bag == "backpack":
            back = self._on_torso(-self.turn * (self.body.depth / 2 + 0.06), 0.62)
            self._draw_bag(back, 1.12 * self.body.shoulders, 0.2, 0.44 * self.body.torso)
        if sideways:
            self._draw_arm(1 - self.near)
        self._draw_leg(1 - self.near)
        cv2.copyTo(cv2.LUT(planes, _BEHIND), cv2.extractChannel(planes, 0), planes)
        self._draw_leg(self.near)
        if self.outfit.bottom in ("skirt", "long skirt"):
            self._draw_skirt()
        self._cover(self.at["pelvis"] + scale * self.torso, self.top)
        self._draw_head()
        self._draw_straps()
        if not sideways:
            self._draw_arm(1 - self.near)
        if bag == "handbag":
            hand = self.at["wrists"][self.near]
            self._limb(hand, hand + _at(0, 0.08 * scale), 0.01 * scale, 0.04 * scale, self.plain[Material.BAG])
            self._draw_bag(hand + _at(0, 0.135 * scale), 0.1, 0.19, 0.065)
        self._draw_arm(self.near)

    def _on_torso(self, right: float, up: float) -> Floats:
        """The point some body heights to the right of the pelvis and some torso lengths above it."""
        return self.at["pelvis"] + self.scale * _at(right, -up * self.body.torso)

    def _draw_leg(self, side: int) -> None:
        hip, knee, ankle, toe = (self.at[name][side] for name in ("hips", "knees", "ankles", "toes"))
        thick = self.body.limbs * self.scale
        upper, lower, skin = self.bottom[: ROWS // 2], self.bottom[ROWS // 2 :], self.plain[Material.SKIN]
        trousers = self.outfit.bottom == "trousers"
        self._limb(ankle, toe, 0.03 * thick, 0.026 * thick, self.plain[Material.SHOES])
        hem = 0.034 * self.body.flare if trousers else 0.026
        self._limb(knee, ankle, 0.05 * thick, hem * thick, lower if trousers else skin)
        self._limb(hip, knee, 0.066 * thick, 0.05 * thick, upper if trousers else skin)
        if self.outfit.bottom == "shorts":
            self._limb(hip, hip + 0.85 * (knee - hip), 0.07 * thick, 0.066 * thick, self.bottom)

    def _draw_arm(self, side: int) -> None:
        shoulder, elbow, wrist = (self.at[name][side] for name in ("shoulders", "elbows", "wrists"))
        thick, skin = self.body.limbs * self.scale, self.plain[Material.SKIN]
        sleeve = self.plain[Material.TOP_B if self.outfit.contrasting_sleeves else Material.TOP_A]
        cloth = sleeve if self.outfit.long_sleeves else skin
        self._limb(wrist, wrist + 0.12 * (wrist - elbow), 0.024 * thick, 0.022 * thick, skin)
        self._limb(elbow, wrist, 0.032 * thick, 0.024 * thick, cloth)
        self._limb(shoulder, elbow, 0.04 * thick, 0.033 * thick, cloth)
        if not self.outfit.long_sleeves:
            self._limb(shoulder, shoulder + 0.62 * (elbow - shoulder), 0.045 * thick, 0.043 * thick, sleeve)

    def _draw_skirt(self) -> None:
        short = self.outfit.bottom == "skirt"
        share, flare = (0.46, 1.25) if short else (0.86, 1.4)
        x, y = self.at["pelvis"]
        waist = self.scale * self.view.half_width(0.95 * self.body.hips, self.body.depth)
        # The hem hangs around the legs, so that it swings with them.
        legs = self.at["knees"] if short else (self.at["knees"] + self.at["ankles"]) / 2
        room = 0.05 * self.scale * self.body.limbs
        left, right = min(legs[:, 0].min() - room, x - flare * waist), max(legs[:, 0].max() + room, x + flare * waist)
        top, low = y - 0.05 * self.scale, y + self.scale * share * self.body.leg
        outline = np.array([[x - waist, top], [x + waist, top], [right, low], [left, low]])
        self._cover(outline, self.bottom, lean=(left + right) / 2 - x)

    def _draw_head(self) -> None:
        height, turn, neck = self.body.head * self.scale, self.turn, self._on_torso(0, 1)
        centre = neck + height * _at(0.12 * turn, -0.74)

        def ellipse(x: float, y: float, width: float, tall: float, material: Material) -> None:
            outline = centre + height * (_at(turn * x, y) + _CIRCLE * _at(width, tall))
            self._cover(outline, self.plain[material])

        self._limb(neck, centre, 0.22 * height, 0.22 * height, self.plain[Material.SKIN])
        for shape in _HAIR.get(self.outfit.hair, [_CAP]):
            ellipse(*shape, Material.HAIR)
        ellipse(0.11, 0.1, 0.33, 0.55 if self.outfit.hair == "bald" else 0.42, Material.SKIN)
        if self.outfit.hair == "hat":
            ellipse(0.0, -0.42, 0.44, 0.28, Material.HAT)
            ellipse(0.3, -0.2, 0.6, 0.07, Material.HAT)

    def _draw_straps(self) -> None:
        """The backpack's two over the chest, or the shoulder bag's across it, with its pouch at the right hip."""
        out, ahead = np.cos(self.view.yaw) * self.body.shoulders, self.body.depth * self.turn
        wide, strap = 0.017 * self.scale, self.plain[Material.BAG]
        if self.outfit.bag == "backpack":
            for x in (-0.27 * out, 0.27 * out):
                self._limb(self._on_torso(x, 1), self._on_torso(1.25 * x + 0.18 * ahead, 0.5), wide, wide, strap)
        elif self.outfit.bag == "shoulder bag":
            hip = self._on_torso(0.5 * out + 0.4 * ahead, 0)
            self._limb(self._on_torso(-0.3 * out, 0.98), hip, wide, wide, strap)
            self._draw_bag(hip, 0.11, 0.2, 0.07)

    def _draw_bag(self, centre: Floats, width: float, depth: float, half_height: float) -> None:
        """A sack with cut corners; lengths in body heights."""
        corners = np.array([[1, -0.7], [1, 0.8], [0.8, 1], [-0.8, 1], [-1, 0.8], [-1, -0.7], [-0.7, -1], [0.7, -1]])
        half = self.scale * np.array([self.view.half_width(width, depth), half_height])
        self._cover(centre + corners * half, self.plain[Material.BAG])

    def _limb(self, start: Floats, end: Floats, start_radius: float, end_radius: float, texture: Texture) -> None:
        """Covers a tapered limb with round ends between two joints."""
        (x, y), (down_x, down_y) = start.tolist(), (end - start).tolist()
        length = float(np.hypot(down_x, down_y))
        # A limb that points at the camera has no direction to speak of: keep its texture upright.
        if length <= start_radius / 2:
            down_x, down_y, length = 0.0, start_radius, start_radius
        ahead_x, ahead_y = down_x / length, down_y / length
        ring = _CIRCLE @ np.array([[ahead_x, ahead_y], [-ahead_y, ahead_x]])
        outline = np.concatenate([end + end_radius * ring[:11], start + start_radius * ring[10:]])
        wide = 2 * max(start_radius, end_radius)
        across = wide * ahead_y, -wide * ahead_x
        self._lay(outline, texture, (x - across[0] / 2, y - across[1] / 2), across, (down_x, down_y))

    def _cover(self, outline: Floats, texture: Texture, lean: float = 0) -> None:
        """Covers an outline with a texture, whose lower end lies ``lean`` pixels to the right of its upper end."""
        xs, ys = outline.T.tolist()
        left, top = min(xs), min(ys)
        self._lay(outline, texture, (left, top), (max(xs) - left, 0.0), (lean, max(ys) - top))

    def _lay(self, outline: Floats, texture: Texture, corner: Pair, across: Pair, down: Pair) -> None:
        """Fills an outline from a texture, whose upper left corner and sides are given; its edge texels continue."""
        xs, ys = outline.T.tolist()
        left, top, right, low = (max(0, int(end)) for end in (min(xs), min(ys), max(xs), max(ys)))
        box = self.planes[top : low + 2, left : right + 2]
        if not box.size:
            return
        # Pixel centres are at whole numbers for the drawing functions, at halves for the geometry.
        origin = left + 0.5, top + 0.5
        corners = [corner, *((corner[0] + side[0], corner[1] + side[1]) for side in (across, down))]
        pixels = np.array([(x - origin[0], y - origin[1]) for x, y in corners], np.float32)
        rows, columns = texture.shape[:2]
        texels = np.array([[-0.5, -0.5], [columns - 0.5, -0.5], [-0.5, rows - 0.5]], np.float32)
        to_texels, flags = cv2.getAffineTransform(pixels, texels), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(texture, to_texels, box.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros(box.shape[:2], np.uint8)
        fixed = np.rint((outline - origin) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.copyTo(laid, mask, box)


def _torso(person: Person, view: View) -> Floats:
    """Outline of the trunk, (14, 2), around the pelvis in body heights."""
    body, hem = person.body, 0.3 if person.outfit.coat else 0.06
    waist = body.slimness * (body.shoulders + body.hips) / 2
    # From collar to hem: body heights above the pelvis, and the body's axes there.
    levels = np.append(np.array([1.03, 1.0, 0.9, 0.6, 0.28, 0.02]) * body.torso, -hem)
    widths = np.append(np.array([0.32, 0.8, 1.0, 0.92]) * body.shoulders, [waist, body.hips, body.hips])
    depths = np.array([0.3, 0.6, 0.85, 1.0, 0.95, 1.0, 1.0]) * body.depth
    right = np.stack([view.half_width(widths, depths), -levels], axis=-1)
    return np.concatenate([right, right[::-1] * [-1, 1]])
