"""What one would write below a picture of a drawn person: the words from which CLIP learns."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.person import Body, Gait, Material, Person
from xreid_plugin.data.tracklet import Modality

# OpenCV's hue, 0 to 180, at which a colour's name ends.
_HUES = ((7, "red"), (20, "orange"), (35, "yellow"), (80, "green"), (98, "cyan"), (128, "blue"), (150, "purple"))
_PATTERNS = {"chest block": "a block on the chest", "centre line": "a line down the middle"}
_HAIR = {"bald": "bald head", "hat": "hat"}
# By trait, where its lower and its upper third end, and what people in these two are said to be.
_BUILD: Mapping[str, tuple[str, str]] = {
    "height": ("short", "tall"),
    "shoulders": ("narrow-shouldered", "broad-shouldered"),
    "depth": ("thin", "stout"),
    "leg": ("short-legged", "long-legged"),
}
_WALK: Mapping[str, tuple[str, str]] = {
    "leg_swing": ("taking short steps", "taking long strides"),
    "arm_swing": ("holding the arms still", "swinging the arms"),
    "elbow_bend": ("with straight arms", "with bent elbows"),
    "knee_bend": ("with stiff knees", "lifting the knees"),
}
# Captions seldom name the sensor; where they do, a tower learns little else, and sets the modalities far apart.
_PHOTO = ("a photo", "a picture", "a video frame")


def describe(
    person: Person, modality: Modality, rng: np.random.Generator | None = None, *, black_and_white: bool = False
) -> str:
    """A sentence on a picture of a person, with colours where the sensor sees them.

    Args:
        person: who is in it.
        modality: of the sensor.
        rng: leaves out about a third of what is worn, most of build and walk, and two times of three all colours, and
            varies the beginning; None tells everything.
        black_and_white: of a visible picture that has lost its hues.
    """
    outfit, palette = person.outfit, person.palette
    coloured = rng is None or rng.uniform() < 1 / 3

    def tinted(material: Material, thing: str) -> str:
        if not coloured:
            return thing
        if modality is Modality.INFRARED:
            return f"{_brightness(float(palette.infrared[material]))} {thing}"
        look = palette.visible[material]
        return f"{_brightness(_luma(look)) if black_and_white else _colour(look)} {thing}"

    def garment(first: Material, second: Material, pattern: str, kind: str) -> str:
        if pattern == "plain":
            return f"plain {tinted(first, kind)}"
        return f"{tinted(first, kind)} with {_PATTERNS.get(pattern) or tinted(second, pattern)}"

    def told(share: float, *parts: str) -> list[str]:
        return [part for part in parts if rng is None or rng.uniform() < share]

    top = f"{'long-sleeved' if outfit.long_sleeves else 'short-sleeved'} {'coat' if outfit.coat else 'shirt'}"
    top = garment(Material.TOP_A, Material.TOP_B, outfit.top_pattern, top)
    bottom = garment(Material.BOTTOM_A, Material.BOTTOM_B, outfit.bottom_pattern, outfit.bottom)
    sleeves = [tinted(Material.TOP_B, "contrasting sleeves")] if outfit.contrasting_sleeves else []
    hair = _HAIR.get(outfit.hair) or tinted(Material.HAIR, f"{outfit.hair} hair")
    bag = [] if outfit.bag == "none" else [tinted(Material.BAG, outfit.bag)]
    opening = _PHOTO[0 if rng is None else int(rng.integers(len(_PHOTO)))]
    build = told(0.25, *_extremes(person.body, _BUILD))
    wears = told(0.7, top, *sleeves, bottom, hair, *bag, tinted(Material.SHOES, "shoes"))
    walk = told(0.25, *_extremes(person.gait, _WALK))
    return ", ".join([" ".join([opening, "of a", *build, "person"]), *wears, *walk])


def _extremes(traits: Body | Gait, words: Mapping[str, tuple[str, str]]) -> list[str]:
    """What is said of the traits that lie in the lower or the upper third of their range."""
    found = []
    for name, (below, above) in words.items():
        low, high = type(traits).__dataclass_fields__[name].metadata["range"]
        share = (getattr(traits, name) - low) / (high - low)
        if not 1 / 3 <= share <= 2 / 3:
            found.append(below if share < 1 / 2 else above)
    return found


def _colour(bgr: NDArray[np.uint8]) -> str:
    hue, saturation, _ = cv2.cvtColor(bgr[None, None], cv2.COLOR_BGR2HSV)[0, 0].tolist()
    brightness = _brightness(_luma(bgr))
    name = "grey" if saturation < 40 else next((name for end, name in _HUES if hue < end), "pink")
    if (brightness, name) == ("dark", "orange"):
        return "brown"
    return name if brightness == "grey" else f"{brightness} {name}"


def _luma(bgr: NDArray[np.uint8]) -> float:
    return float(bgr @ np.array([0.114, 0.587, 0.299]))


def _brightness(level: float) -> str:
    return "dark" if level < 85 else "light" if level > 170 else "grey"
