import numpy as np
from PIL import Image

from xreid_plugin.visualization.panels import Panel, render, write_sheet

HOSTILE = r"$\frac{1}{ & <script>"


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
