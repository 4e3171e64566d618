import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.path_table import PathTable, TrackletPaths, share_paths
from xreid_plugin.data.tracklet import Modality, Tracklet

# Strings of a few letters, so that much begins alike, and strings of any.
PATHS = st.lists(
    st.lists(st.text(st.sampled_from("ab/1.é"), max_size=8) | st.text(max_size=4), min_size=1, max_size=6), max_size=5
)
BOUND = st.none() | st.integers(-8, 8)


def views(lists):
    table = PathTable(lists)
    return [TrackletPaths(table, number) for number in range(len(lists))]


@given(lists=PATHS, start=BOUND, stop=BOUND, step=st.sampled_from([None, -2, -1, 1, 3]))
def test_a_view_behaves_as_the_list_of_its_paths(lists, start, stop, step):
    for view, plain in zip(views(lists), lists, strict=True):
        assert len(view) == len(plain)
        assert list(view) == plain
        assert list(reversed(view)) == plain[::-1]
        assert [view[index] for index in range(-len(plain), len(plain))] == plain + plain
        assert [view[np.int64(index)] for index in range(len(plain))] == plain
        assert view[start:stop:step] == plain[start:stop:step]
        assert all(path in view and view.index(path) == plain.index(path) for path in plain)
        for outside in (len(plain), -len(plain) - 1):
            with pytest.raises(IndexError):
                view[outside]


@given(lists=PATHS)
def test_equality_is_that_of_the_paths(lists):
    for view, again, plain in zip(views(lists), views(lists), lists, strict=True):
        assert view == plain
        assert plain == view
        assert view == tuple(plain)
        assert view == again
        assert view != [*plain, "more"]
        assert view != [*plain[:-1], plain[-1] + "x"]
        assert view != "".join(plain)
        assert repr(plain) in repr(view)


def test_halves_of_surrogate_pairs_come_back():
    assert views([["a\ud800", "a\udfff.jpg"]])[0] == ["a\ud800", "a\udfff.jpg"]


def test_a_view_is_read_only():
    view = views([["a", "b"]])[0]
    with pytest.raises(TypeError):
        view[0] = "c"
    with pytest.raises(TypeError):
        hash(view)


def tracklets(count):
    return [
        Tracklet([f"/data/Train/{n:04d}/rgb/D3/{f}.jpg" for f in range(24)], n, 3, Modality.VISIBLE, f"T{n}")
        for n in range(count)
    ]


def test_shared_tracklets_are_the_same_ones():
    assert share_paths(iter(tracklets(5))) == tracklets(5)
    assert share_paths([]) == []


def test_pickled_together_views_carry_the_table_once_and_share_it_again():
    shared = share_paths(tracklets(100))
    content = pickle.dumps(shared)
    assert len(content) < len(pickle.dumps(tracklets(100))) / 2
    again = pickle.loads(content)
    assert again == tracklets(100)
    assert len({id(tracklet.paths._table) for tracklet in again}) == 1


@pytest.mark.parametrize(("make", "parse"), [(small_vcm, HITSZVCM), (small_bupt, BUPTCampus)])
def test_parsed_datasets_have_all_paths_in_one_table(tmp_path, make, parse):
    dataset = parse(make(tmp_path).write())
    parsed = [*dataset.train, *dataset.test, *dataset.query, *dataset.gallery]
    assert len({id(tracklet.paths._table) for tracklet in parsed}) == 1
    assert all(os.path.isfile(path) for tracklet in parsed for path in tracklet.paths)  # noqa: PTH113
