"""The clothes of one person under one light."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.canvas import Texture, make_texture
from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.pattern import COLUMNS, ROWS, Pattern, second_phase
from xreid_plugin.data.synthetic.person import Outfit


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """Textures of the parts of a person; those of limbs come as the farther and the nearer limb's."""

    torso: Texture
    skirt: Texture
    bag: Texture
    hair: Texture
    hat: Texture
    head: Texture
    sleeves: tuple[Texture, Texture]
    legs: tuple[Texture, Texture]
    skin: tuple[Texture, Texture]


def dress(rng: np.random.Generator, outfit: Outfit, light: float) -> Wardrobe:
    """Cuts the textures of an outfit; folds of the cloth are drawn from ``rng``."""
    folds = _draw_folds(rng)
    bottom = _cloth(outfit.bottom_pattern, Material.BOTTOM_A, Material.BOTTOM_B)
    sleeve = _even(Material.TOP_B if outfit.sleeves_in_second_phase else Material.TOP_A)

    def limbs(materials: NDArray[np.uint8]) -> tuple[Texture, Texture]:
        return make_texture(materials, light, folds, 0.78), make_texture(materials, light, folds)

    def part(material: Material) -> Texture:
        return make_texture(_even(material), light, folds)

    return Wardrobe(
        torso=make_texture(_cloth(outfit.top, Material.TOP_A, Material.TOP_B), light, folds),
        skirt=make_texture(bottom, light, folds),
        bag=part(Material.BAG),
        hair=part(Material.HAIR),
        hat=part(Material.HAT),
        head=part(Material.SKIN),
        sleeves=limbs(sleeve),
        legs=limbs(bottom),
        skin=limbs(_even(Material.SKIN)),
    )


@lru_cache(maxsize=64)
def _cloth(pattern: Pattern, first: Material, second: Material) -> NDArray[np.uint8]:
    return np.where(second_phase(pattern), np.uint8(second), np.uint8(first))


@lru_cache(maxsize=len(Material))
def _even(material: Material) -> NDArray[np.uint8]:
    return np.full((ROWS, COLUMNS), material, np.uint8)


def _draw_folds(rng: np.random.Generator) -> NDArray[np.float32]:
    coarse = rng.normal(1, 0.07, (9, 4)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC), np.float32)
