import pytest

from xreid_plugin.visualization.theme import DARK, LIGHT

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_ratio_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@THEMES
def test_text_stands_out(theme):
    for colour in (theme.ink, theme.faint, theme.right, theme.wrong, theme.series[0]):
        assert contrast(colour, theme.paper) >= 4.5


@THEMES
def test_lines_stand_out(theme):
    assert all(contrast(colour, theme.paper) >= 3 for colour in theme.series)
    assert len(set(theme.series)) == len(theme.series)
