import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.tracklet import FramePaths

BOUND = st.none() | st.integers(-8, 8)


@given(
    st.lists(st.text(st.sampled_from("ab/1.é"), max_size=8), min_size=1, max_size=6),
    BOUND,
    BOUND,
    st.sampled_from([1, -2]),
)
def test_paths_behave_as_the_list_of_the_same_paths(plain, start, stop, step):
    paths = FramePaths(plain)
    assert len(paths) == len(plain)
    assert list(paths) == plain
    assert list(pickle.loads(pickle.dumps(paths))) == plain
    assert [paths[np.int64(index)] for index in range(-len(plain), len(plain))] == plain + plain
    assert paths[start:stop:step] == plain[start:stop:step]
    with pytest.raises(IndexError):
        paths[len(plain)]
