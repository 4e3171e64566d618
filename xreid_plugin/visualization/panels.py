"""Pictures as parts that draw themselves in light and in dark colours, and what shows them: sheets and pages."""

import base64
import io
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from xreid_plugin.files import replace_atomically

PANEL_WIDTH = 4.0  # inches: two make a sheet, and on a phone one is still legible
_DPI = 200
_STYLE = Path(__file__).with_name("templates") / "pictures.mplstyle"
# Without the date and the library's version a picture is the same in every run.
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


@dataclass(frozen=True)
class Theme:
    """Colours as #RRGGBB: the paper, text and less important text, lines that guide the eye, matches and other people.

    Text has a contrast of 4.5 to 1 or more with the paper and lines of 3 to 1, as WCAG 2.2's level AA asks. The series
    follow Okabe and Ito's, which the colour-blind can tell apart, darkened or lightened to fit; its first is infrared
    or I2V, its second visible or V2I.
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
        """For matplotlib's ``rc_context``."""
        return {
            **dict.fromkeys(("figure.facecolor", "savefig.facecolor", "axes.facecolor"), self.paper),
            **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), self.ink),
            **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), self.faint),
            "grid.color": self.grid,
        }


_DEEP = ("#0072b2", "#c65400", "#007f5f", "#a8437f", "#876400", "#5c6670", "#5a4fcf")
_BRIGHT = ("#56b4e9", "#ff9a4d", "#35c79a", "#e58cc0", "#e8bf2e", "#b4bec8", "#a99cff")
LIGHT = Theme("#ffffff", "#1b1f24", "#59636e", "#e3e7eb", right="#00795c", wrong="#c8321c", series=_DEEP)
DARK = Theme("#171b21", "#e8ebef", "#a3adb8", "#2f363f", right="#3ccf9f", wrong="#ff7d66", series=_BRIGHT)


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
    note: str = "",
) -> bytes:
    """Draws panels side by side, row by row, to a file's content; the same for the same panels.

    Args:
        panels: at least one.
        file_format: "png", "svg" or "webp".
        theme: the picture's colours.
        columns: greatest number of panels in a row.
        width: of a panel, in inches.
        titles: whether to write each panel's title above it.
        note: what all of it is of, above the panels.
    """
    columns = min(columns, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(panel.height for panel in row) + (0.35 if titles else 0) for row in rows]
    lines = textwrap.wrap(note, int(14 * width * columns))
    with mpl.rc_context(theme.settings, _STYLE):
        size = width * columns, sum(heights) + 0.2 * len(lines)
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        if lines:
            figure.suptitle("\n".join(lines), fontsize=9)
        parts = figure.subfigures(len(rows), columns, squeeze=False, height_ratios=heights, hspace=0.03, wspace=0.03)
        for panel, place in zip(panels, parts.flat, strict=False):
            if titles:
                place.suptitle(panel.title, fontsize=12, fontweight="bold")
            panel.draw(place, theme)
        content = io.BytesIO()
        webp = {"pil_kwargs": {"quality": 88, "method": 4}, "dpi": 0.75 * _DPI}
        options = webp if file_format == "webp" else {"metadata": _METADATA[file_format]}
        figure.savefig(content, format=file_format, **options)
    return content.getvalue()


def legend_below(figure: FigureBase, axes: Axes) -> None:
    """Names what the axes show, below them, in as many columns as fit the width of a panel."""
    handles, labels = axes.get_legend_handles_labels()
    # A line of the legend's font holds some fifty letters; the sign before a label takes the space of six.
    fitting = max(1, min(4, len(labels), 52 // (6 + max(map(len, labels)))))
    columns = math.ceil(len(labels) / math.ceil(len(labels) / fitting))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.0, handletextpad=0.5)


def write_sheet(
    panels: Sequence[Panel], path: Path, columns: int = 2, width: float = PANEL_WIDTH, note: str = ""
) -> None:
    """Writes what :func:`render` draws to a PNG or an SVG, by the file's suffix, whole or not at all."""
    content = render(panels, path.suffix.lower().removeprefix("."), columns=columns, width=width, note=note)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda part: part.write_bytes(content))


def render_page(template: str, **content: Any) -> str:
    """A template of this package with its content, and the colours of light and dark paper."""
    environment = Environment(
        loader=PackageLoader("xreid_plugin.visualization"),
        # Names of tracklets, files and datasets may hold anything.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {"light": asdict(LIGHT), "dark": asdict(DARK)}
    return environment.get_template(template).render(**content, **colours)


def data_uri(content: bytes, mime: str) -> str:
    """A picture within a page; its kind as in "jpeg" or "svg+xml"."""
    return f"data:image/{mime};base64,{base64.b64encode(content).decode()}"
