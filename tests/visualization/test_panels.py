import io

import numpy as np
import pytest
from PIL import Image

from xreid_plugin.visualization.panels import DARK, LIGHT, Panel, render, write_sheet

HOSTILE = r"$\frac{1}{ & <script>"
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def panel(title="a line", slope=1.0):
    def draw(figure, theme):
        axes = figure.subplots()
        axes.plot([0, 1], [0, slope], color=theme.series[0], label="grows")
        axes.set_xlabel(title)

    return Panel(title, "A line that grows.", draw)


def test_a_hostile_text_is_drawn_and_not_obeyed():
    content = render([panel(HOSTILE)], "svg")
    assert b"<script" not in content
    assert content.rstrip().endswith(b"</svg>")


def test_panels_stand_side_by_side_then_below(tmp_path):
    sizes = []
    for count in (1, 2, 3):
        write_sheet([panel()] * count, tmp_path / f"{count}.png")
        with Image.open(tmp_path / f"{count}.png") as picture:
            sizes.append(picture.size)
    one, two, three = np.array(sizes)
    assert two.tolist() == [2 * one[0], one[1]]
    assert three.tolist() == [2 * one[0], 2 * one[1]]


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@THEMES
def test_text_and_lines_stand_out_from_the_paper(theme):
    for colour in (theme.ink, theme.faint, theme.right, theme.wrong, theme.series[0]):
        assert contrast(colour, theme.paper) >= 4.5
    assert all(contrast(colour, theme.paper) >= 3 for colour in theme.series)
    with Image.open(io.BytesIO(render([panel()], "png", theme))) as picture:
        assert "#" + bytes(picture.convert("RGB").getpixel((0, 0))).hex() == theme.paper
