import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.paths import FramePaths, resolve_below, share_paths
from xreid_plugin.data.tracklet import Modality, Tracklet

PATHS = st.lists(
    st.lists(st.text(st.sampled_from("ab/1.é"), min_size=1, max_size=8), min_size=1, max_size=6), max_size=5
)
BOUND = st.none() | st.integers(-8, 8)


def tracklets(lists, folder=""):
    paths = [FramePaths.of(folder, names) if folder else names for names in lists]
    return [Tracklet(names, number, 0, Modality.VISIBLE, str(number)) for number, names in enumerate(paths)]


@given(lists=PATHS, folder=st.sampled_from(["", "/data"]), start=BOUND, stop=BOUND, step=st.sampled_from([None, -2, 1]))
def test_shared_paths_behave_as_the_lists_of_the_same_paths(lists, folder, start, stop, step):
    shared = share_paths(tracklets(lists, folder))
    assert [tracklet.pid for tracklet in shared] == list(range(len(lists)))
    for view, names in zip((tracklet.paths for tracklet in shared), lists, strict=True):
        plain = [f"{folder}/{name}" for name in names] if folder else names
        assert len(view) == len(plain)
        assert list(view) == plain
        assert view == plain
        assert view != [*plain, "more"]
        assert [view[np.int64(index)] for index in range(-len(plain), len(plain))] == plain + plain
        assert view[start:stop:step] == plain[start:stop:step]
        with pytest.raises(IndexError):
            view[len(plain)]


def test_pickled_together_the_paths_are_carried_once():
    lists = [[f"Train/{pid:04d}/rgb/D3/{frame}.jpg" for frame in range(24)] for pid in range(100)]
    shared = share_paths(tracklets(lists, "/data/HITSZ-VCM"))
    content = pickle.dumps(shared)
    assert pickle.loads(content) == shared
    assert len(content) < 1.5 * sum(len(name) + 1 for names in lists for name in names)


def test_what_a_list_names_stays_below_its_folder(tmp_path):
    inside = tmp_path / "inside"
    (inside / "real/deep").mkdir(parents=True)
    (inside / "alias").symlink_to(inside / "real")
    (tmp_path / "inside-not").mkdir()
    (inside / "sibling").symlink_to(tmp_path / "inside-not")
    (tmp_path / "root").symlink_to(inside)
    assert resolve_below(inside, "alias/deep") == inside / "real/deep"
    assert resolve_below(inside, "not/there") == inside / "not/there"
    assert resolve_below(tmp_path / "root", "real") == inside / "real"
    for outside in ("..", "../inside-not", "real/../../x", "/etc", "sibling", "sibling/deep"):
        with pytest.raises(ValueError, match="out of"):
            resolve_below(inside, outside)
