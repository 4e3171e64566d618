import io

import numpy as np
import pytest
from PIL import Image

from xreid_plugin.visualization.panels import FORMATS, Panel, drawable, picture_format, render, write_sheet
from xreid_plugin.visualization.theme import DARK, LIGHT

HOSTILE = r"$\frac{1}{ & <script>" + "\n人\x00\U0001f600"


def panel(title="a line", slope=1.0):
    def draw(figure, theme):
        axes = figure.subplots()
        axes.plot([0, 1], [0, slope], color=theme.series[0], label="grows")
        axes.set_xlabel(drawable(title))

    return Panel(title, "A line that grows.", draw)


@pytest.mark.parametrize("file_format", [*FORMATS, "webp"])
def test_the_same_panels_give_the_same_bytes(file_format):
    first, again, other = (render([panel(slope=slope)], file_format) for slope in (1.0, 1.0, 2.0))
    assert first == again
    assert first != other


def test_a_hostile_text_is_drawn_and_not_obeyed():
    content = render([panel(HOSTILE)], "svg")
    assert b"<script" not in content
    assert content.rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("a\nb\tc", "a b c"), ("人\x00", "□□"), ("x" * 41, "x" * 39 + "…"), ("x" * 40, "x" * 40)],
)
def test_texts_are_made_drawable(text, expected):
    assert drawable(text) == expected


def test_the_paper_is_the_themes():
    for theme in (LIGHT, DARK):
        with Image.open(io.BytesIO(render([panel()], "png", theme))) as picture:
            corner = picture.convert("RGB").getpixel((0, 0))
        assert "#" + bytes(corner).hex() == theme.paper


def test_panels_stand_side_by_side_then_below(tmp_path):
    sizes = []
    for count in (1, 2, 3):
        write_sheet([panel()] * count, tmp_path / "new" / f"{count}.png")
        with Image.open(tmp_path / "new" / f"{count}.png") as picture:
            sizes.append(picture.size)
    one, two, three = np.array(sizes)
    assert two.tolist() == [2 * one[0], one[1]]
    assert three.tolist() == [2 * one[0], 2 * one[1]]
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"picture\.gif: pictures are written as \.png or \.svg"):
        picture_format(tmp_path / "picture.gif")
    assert picture_format(tmp_path / "A.SVG") == "svg"
