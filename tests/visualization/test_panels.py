from xreid_plugin.visualization.panels import Panel, render

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
