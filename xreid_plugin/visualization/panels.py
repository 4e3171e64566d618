"""Pictures as parts that know how to draw themselves, and the sheets that they are combined into."""

import functools
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import findfont, get_font

from xreid_plugin.files import replace_atomically
from xreid_plugin.visualization.theme import LIGHT, Theme

FORMATS = ("png", "svg")
PANEL_WIDTH = 4.0  # inches: two make a sheet, and on a phone one is still legible
_DPI = 200
# Without the date and the library's version a picture is the same in every run.
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
_WEBP = {"quality": 88, "method": 4}


@dataclass(frozen=True)
class Panel:
    """One picture, not yet drawn.

    Attributes:
        title: a few words, without a full stop.
        alt: what it shows, for those who do not see it.
        draw: fills a figure or a part of one, under the theme's settings.
        height: height in inches, at the width of a panel.
        photographic: whether it is made of frames, which a vector format would only embed.
    """

    title: str
    alt: str
    draw: Callable[[FigureBase, Theme], None]
    height: float = 3.2
    photographic: bool = False


def render(
    panels: Sequence[Panel],
    file_format: str,
    theme: Theme = LIGHT,
    columns: int = 2,
    width: float = PANEL_WIDTH,
    titles: bool = True,
) -> bytes:
    """Draws panels side by side, row by row.

    Args:
        panels: the panels, at least one.
        file_format: "png", "svg" or "webp".
        theme: the picture's colours.
        columns: greatest number of panels in a row.
        width: width of a panel, in inches.
        titles: whether to write each panel's title above it.

    Returns:
        The file's content; the same for the same panels.
    """
    columns = min(columns, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(panel.height for panel in row) + (0.35 if titles else 0) for row in rows]
    with mpl.rc_context(theme.settings):
        figure = Figure(figsize=(width * columns, sum(heights)), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        parts = figure.subfigures(len(rows), columns, squeeze=False, height_ratios=heights, hspace=0.03, wspace=0.03)
        for row, places in zip(rows, parts, strict=True):
            for panel, place in zip(row, places, strict=False):
                if titles:
                    place.suptitle(drawable(panel.title, 80), fontsize=12, fontweight="bold")
                panel.draw(place, theme)
        content = io.BytesIO()
        options: dict[str, Any] = {"pil_kwargs": _WEBP, "dpi": 0.75 * _DPI} if file_format == "webp" else {}
        figure.savefig(content, format=file_format, metadata=_METADATA.get(file_format), **options)
    return content.getvalue()


def legend_below(figure: FigureBase, axes: Axes) -> None:
    """Names what the axes show, below them, in as many columns as fit the width of a panel."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=_columns(labels), columnspacing=1.0, handletextpad=0.5
    )


def legend_height(labels: Sequence[str]) -> float:
    """Inches that :func:`legend_below` needs."""
    return 0.2 * math.ceil(len(labels) / _columns(labels))


def _columns(labels: Sequence[str]) -> int:
    # A line of the legend's font holds some fifty letters; the sign before a label takes the space of six.
    most = min(4, len(labels), max(1, 52 // (6 + max(map(len, labels)))))
    # No more columns than the lines need.
    return math.ceil(len(labels) / math.ceil(len(labels) / most))


def write_sheet(panels: Sequence[Panel], path: Path, columns: int = 2, width: float = PANEL_WIDTH) -> None:
    """Writes what :func:`render` draws to a PNG or an SVG, by the file's suffix, whole or not at all."""
    content = render(panels, picture_format(path), columns=columns, width=width)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda part: part.write_bytes(content))


def picture_format(path: Path) -> str:
    """The format that a file's suffix stands for.

    Raises:
        ValueError: neither .png nor .svg.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(f"{path}: pictures are written as .png or .svg; end the file's name with one of them.")
    return suffix


def drawable(text: str, longest: int = 40) -> str:
    """A text of any origin as one short line that the font can draw; characters that the font lacks become a box."""
    characters = [_drawable(character) for character in text[: longest + 1]]
    return "".join(characters) if len(characters) <= longest else "".join(characters[: longest - 1]) + "…"


def _drawable(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() and _font().get_char_index(ord(character)) else "□"


@functools.cache
def _font() -> Any:
    return get_font(findfont("DejaVu Sans"))
