"""Patterns of garments: which of its two phases a point of a garment has."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 128, 64
"""Texels of a garment, from its upper to its lower hem and across it."""


class Pattern(Enum):
    """A layout of two phases; the number is that of light-dark cycles along the garment, where it has any."""

    PLAIN = ("plain", 0.0)
    WIDE_HOOPS = ("hoops", 2.0)
    HOOPS = ("hoops", 3.5)
    FINE_HOOPS = ("hoops", 6.0)
    WIDE_STRIPES = ("stripes", 1.5)
    STRIPES = ("stripes", 3.5)
    WIDE_CHECKS = ("checks", 1.5)
    CHECKS = ("checks", 3.0)
    CHEST_BLOCK = ("block", 0.0)
    TWO_TONE = ("two-tone", 0.5)
    YOKE = ("two-tone", 0.27)
    BAND = ("band", 0.0)
    SASH = ("sash", 0.0)
    DIAGONALS = ("diagonals", 3.0)
    DOTS = ("dots", 3.0)
    CENTRE_LINE = ("centre", 0.0)


TOP_PATTERNS = tuple(pattern for pattern in Pattern if pattern is not Pattern.CENTRE_LINE)
BOTTOM_PATTERNS = (Pattern.PLAIN, Pattern.HOOPS, Pattern.CENTRE_LINE, Pattern.CHECKS, Pattern.TWO_TONE)


def second_phase(pattern: Pattern) -> NDArray[np.bool_]:
    """Where a garment shows its second phase.

    Returns:
        (ROWS, COLUMNS); all false for a plain garment, and for every other pattern neither all false nor all true.
    """
    down = ((np.arange(ROWS) + 0.5) / ROWS)[:, None]
    across = ((np.arange(COLUMNS) + 0.5) / COLUMNS)[None, :]
    kind, number = pattern.value
    # A garment is about 1.6 times as long as wide: cycles across are spaced as those along it.
    sideways = across * number / 1.6
    match kind:
        case "hoops":
            phase = _odd(2 * down * number) & (across >= 0)
        case "stripes":
            phase = _odd(2 * (across - 0.5) * number + 0.5) & (down >= 0)
        case "checks":
            phase = _odd(2 * down * number) ^ _odd(2 * sideways)
        case "block":
            phase = (abs(across - 0.5) < 0.24) & (down > 0.16) & (down < 0.55)
        case "two-tone":
            phase = (down > number) & (across >= 0)
        case "band":
            phase = (down > 0.36) & (down < 0.62) & (across >= 0)
        case "sash":
            phase = abs(across - 0.1 - 0.8 * down) < 0.17
        case "diagonals":
            phase = _odd(2 * (down * number + sideways))
        case "dots":
            phase = ((down * number) % 1 - 0.5) ** 2 + ((1.6 * sideways) % 1 - 0.5) ** 2 < 0.3**2
        case "centre":
            phase = (abs(across - 0.5) < 0.2) & (down >= 0)
        case _:
            phase = np.zeros((ROWS, COLUMNS), np.bool_)
    return np.broadcast_to(phase, (ROWS, COLUMNS))


def _odd(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.floor(values).astype(np.int64) % 2 == 1
