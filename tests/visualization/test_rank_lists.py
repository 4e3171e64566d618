import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from tests.data.small_set import small_config
from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.visualization.panels import DARK, LIGHT, render
from xreid_plugin.visualization.rank_lists import (
    PICKS,
    RankList,
    frames_of,
    middles,
    rank_lists,
    strip_width,
    strips_panel,
)


def plain(data, direction, query):
    """A list by a plain loop: (distance, tracklet) of what the query sees, nearest first, and its precision."""
    entries = []
    for other in data.tasks[direction].gallery:
        same = data.pids[other] == data.pids[query]
        if same and data.camids[other] == data.camids[query] and data.protocol["same_camera"] == "exclude":
            continue
        one, two = (data.features[i].astype(float) for i in (query, other))
        entries.append((1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two), other, bool(same)))
    entries.sort()
    places = [place for place, (_, _, right) in enumerate(entries, 1) if right]
    return entries, places[0], np.mean([n / place for n, place in enumerate(places, 1)])


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_lists_are_those_of_a_plain_loop(same_camera):
    data = random_features(camids=np.tile([0, 0, 0, 1, 2, 2], 8), protocol={"same_camera": same_camera})
    found = rank_lists(data, 100, 5)
    assert list(found) == ["I2V", "V2I"]
    for direction, lists in found.items():
        assert sorted(ranked.query for ranked in lists) == sorted(data.tasks[direction].query)
        for ranked in lists:
            expected, first, precision = plain(data, direction, ranked.query)
            assert ranked.found.tolist() == [tracklet for _, tracklet, _ in expected[:5]]
            assert ranked.right.tolist() == [right for _, _, right in expected[:5]]
            assert ranked.similarities.tolist() == pytest.approx(
                [1 - distance for distance, *_ in expected[:5]], abs=1e-5
            )
            assert (ranked.first_match, ranked.average_precision) == (first, pytest.approx(precision))


def test_queries_are_picked_by_their_precision():
    data = random_features()

    def precisions(count, *pick):
        return [ranked.average_precision for ranked in rank_lists(data, count, 5, *pick)["I2V"]]

    every = precisions(100)
    assert every == sorted(every, reverse=True)
    picked = {pick: precisions(3, pick) for pick in PICKS}
    assert picked["best"] == every[:3]
    assert picked["worst"] == every[-3:]
    assert (picked["spread"][0], picked["spread"][-1]) == (every[0], every[-1])
    drawn = [precisions(3, "random", seed) for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(map(tuple, drawn))) > 1


@given(st.integers(1, 50), st.integers(1, 60))
def test_middles_are_in_order_and_inside(length, count):
    found = middles(length, count)
    assert len(found) == count
    assert 0 <= found[0] <= found[-1] < length
    assert (np.diff(found) >= 0).all()
    assert middles(10, 2).tolist() == [2, 7]


@pytest.fixture
def source(small_set, small_run, tmp_path):
    data = load_features(small_run / "features.npz")
    return data, frames_of(small_config(small_set, tmp_path), data)


@pytest.mark.parametrize("change", [lambda data: {"names": data.names[::-1]}, lambda data: {"pids": data.pids + 1}])
def test_frames_are_of_the_tracklets_of_the_features(source, small_set, tmp_path, change):
    data, frames = source
    assert frames(0, 2).shape == (2, 48, 24, 3)
    with pytest.raises(ValueError, match=r"DATASETS\.ROOT"):
        frames_of(small_config(small_set, tmp_path), dataclasses.replace(data, **change(data)))


def found(*rights):
    count = len(rights)
    return RankList(0, np.arange(1, count + 1), np.array(rights), np.full(count, 0.25), 2, 0.5)


def has(picture, colour):
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return bool((np.abs(picture.astype(int) - wanted).max(2) <= 1).sum() > 2000)


@pytest.mark.parametrize(("theme", "rights"), [(LIGHT, (True, True)), (LIGHT, (False, False)), (DARK, (True, False))])
def test_right_and_wrong_are_framed_and_counted(source, theme, rights):
    panel = strips_panel("I2V", [found(*rights)], *source)
    with Image.open(io.BytesIO(render([panel], "png", theme, width=strip_width(2)))) as image:
        picture = np.array(image.convert("RGB"))
    assert f"1 queries, of which {int(rights[0])} have" in panel.alt
    assert has(picture, theme.right) == any(rights)
    assert has(picture, theme.wrong) == (not all(rights))
