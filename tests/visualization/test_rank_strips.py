import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tests.data.small_set import small_config
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.visualization.frame_source import FrameSource
from xreid_plugin.visualization.panels import render
from xreid_plugin.visualization.rank_lists import Found, RankList
from xreid_plugin.visualization.rank_strips import heading, strip_width, strips_panel
from xreid_plugin.visualization.theme import DARK, LIGHT


@pytest.fixture
def source(small_set, small_run, tmp_path):
    data = load_features(small_run / "features.npz")
    return data, FrameSource(small_config(small_set, tmp_path), data)


def found(*rights):
    first = rights.index(True) + 1 if any(rights) else 23
    return RankList(0, tuple(Found(number + 1, right, 0.25) for number, right in enumerate(rights)), first, 0.5)


def has(picture, colour):
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return bool((np.abs(picture.astype(int) - wanted).max(2) <= 1).sum() > 50)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("rights", [(True, True), (False, False), (True, False)])
def test_right_and_wrong_are_framed(source, theme, rights):
    # The key has both colours.
    panel = strips_panel("I2V", [found(*rights)], *source, with_key=False)
    with Image.open(io.BytesIO(render([panel], "png", theme, width=strip_width(2)))) as image:
        picture = np.array(image.convert("RGB"))
    assert has(picture, theme.right) == any(rights)
    assert has(picture, theme.wrong) == (not all(rights))


def test_the_key_says_what_the_signs_mean(source):
    def drawn(with_key):
        panel = strips_panel("I2V", [found(True)], *source, with_key=with_key)
        return render([panel], "svg", width=strip_width(1)).decode()

    for text in ("solid: the same person", "dashed: another person", "below a frame: place and cosine distance"):
        assert text in drawn(with_key=True)
        assert text not in drawn(with_key=False)


def test_more_frames_make_a_taller_strip(source):
    one, three = (strips_panel("I2V", [found(True)], *source, per_tracklet=count) for count in (1, 3))
    assert three.height > 1.8 * one.height


def test_what_is_said_about_a_list(source):
    data, _ = source
    text = heading(found(False, True), data)
    assert text.startswith(f"Person {data.pids[0]}, ")
    assert text.endswith("first match at place 2; average precision 50\N{NO-BREAK SPACE}%")
    assert "first match at place 23;" in heading(found(False, False), data)
    panel = strips_panel("I2V", [found(True), found(False)], *source)
    assert "2 queries, of which 1 have" in panel.alt
