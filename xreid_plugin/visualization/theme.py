"""Colours of pictures and of the page, on light and on dark backgrounds.

Text has a contrast of 4.5 to 1 or more with its background and lines of 3 to 1 or more, as WCAG 2.2's level AA asks.
The series of colours follow Okabe and Ito's, which the colour-blind can tell apart, darkened or lightened to fit.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Theme:
    """One set of colours, as #RRGGBB.

    Attributes:
        paper: the background of pictures.
        ink: text.
        faint: less important text.
        grid: lines that only guide the eye.
        right: what marks a match.
        wrong: what marks another person.
        series: colours of lines and points; the first is infrared or I2V, the second visible or V2I.
    """

    paper: str
    ink: str
    faint: str
    grid: str
    right: str
    wrong: str
    series: tuple[str, ...]

    @property
    def settings(self) -> Any:
        """A dict for matplotlib's ``rc_context``."""
        return {
            "figure.facecolor": self.paper,
            "savefig.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "axes.edgecolor": self.faint,
            "axes.labelcolor": self.ink,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "font.size": 10,
            "font.family": "DejaVu Sans",
            "grid.color": self.grid,
            "grid.alpha": 1.0,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "text.color": self.ink,
            "xtick.color": self.faint,
            "xtick.labelcolor": self.ink,
            "xtick.labelsize": 9,
            "ytick.color": self.faint,
            "ytick.labelcolor": self.ink,
            "ytick.labelsize": 9,
            # Names of tracklets are not formulas, whatever characters they hold.
            "text.parse_math": False,
            # Ids in an SVG are random otherwise.
            "svg.hashsalt": "xreid",
        }


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    faint="#59636e",
    grid="#e3e7eb",
    right="#00795c",
    wrong="#c8321c",
    series=("#0072b2", "#c65400", "#007f5f", "#a8437f", "#876400", "#5c6670", "#5a4fcf"),
)
DARK = Theme(
    paper="#171b21",
    ink="#e8ebef",
    faint="#a3adb8",
    grid="#2f363f",
    right="#3ccf9f",
    wrong="#ff7d66",
    series=("#56b4e9", "#ff9a4d", "#35c79a", "#e58cc0", "#e8bf2e", "#b4bec8", "#a99cff"),
)
