"""What one would write below a picture of a drawn person: the words from which CLIP learns."""

from collections.abc import Mapping

import numpy as np

from projects.SyntheticPeople.person import Body, Gait, Person

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
_PHOTO = ("a photo", "a picture", "a video frame")


def describe(person: Person, rng: np.random.Generator | None = None) -> str:
    """A sentence on a picture of a person, the same for both modalities.

    Colours are never named, nor is the sensor: one modality alone shows them, and a tower that is taught them sets the
    modalities apart (docs/results.md).

    Args:
        person: who is in it.
        rng: leaves out about a third of what is worn and most of build and walk, and varies the beginning; None tells
            everything.
    """
    outfit = person.outfit

    def patterned(kind: str, pattern: str) -> str:
        return f"plain {kind}" if pattern == "plain" else f"{kind} with {_PATTERNS.get(pattern, pattern)}"

    def told(share: float, *parts: str) -> list[str]:
        return [part for part in parts if rng is None or rng.uniform() < share]

    top = f"{'long-sleeved' if outfit.long_sleeves else 'short-sleeved'} {'coat' if outfit.coat else 'shirt'}"
    sleeves = ["contrasting sleeves"] if outfit.contrasting_sleeves else []
    hair = _HAIR.get(outfit.hair, f"{outfit.hair} hair")
    bag = [] if outfit.bag == "none" else [outfit.bag]
    opening = _PHOTO[0 if rng is None else int(rng.integers(len(_PHOTO)))]
    build = told(0.25, *_extremes(person.body, _BUILD))
    top, bottom = patterned(top, outfit.top_pattern), patterned(outfit.bottom, outfit.bottom_pattern)
    wears = told(0.7, top, *sleeves, bottom, hair, *bag, "shoes")
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
