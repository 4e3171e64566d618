import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.small_set import small_config
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.visualization.frame_source import FrameSource, middles


@given(st.integers(1, 50), st.integers(1, 60))
def test_middles_are_in_order_and_inside(length, count):
    found = middles(length, count)
    assert len(found) == count
    assert 0 <= found[0] <= found[-1] < length
    assert (np.diff(found) >= 0).all()


def test_middles_by_hand():
    assert middles(10, 1).tolist() == [5]
    assert middles(10, 2).tolist() == [2, 7]


def test_frames_are_those_of_the_features(small_set, small_run, tmp_path):
    data = load_features(small_run / "features.npz")
    source = FrameSource(small_config(small_set, tmp_path), data)
    assert [tracklet.name for tracklet in source.tracklets] == list(data.names)
    assert source.read(0, 2).shape == (2, 48, 24, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: {"names": tuple(reversed(data.names))}, "not of the"),
        (lambda data: {"pids": data.pids + 1}, "not of the"),
        (lambda data: {"protocol": {"dataset": "BUPTCampus"}}, "The features are of BUPTCampus"),
    ],
)
def test_other_features_are_refused(small_set, small_run, tmp_path, change, message):
    data = load_features(small_run / "features.npz")
    with pytest.raises(ValueError, match=message):
        FrameSource(small_config(small_set, tmp_path), dataclasses.replace(data, **change(data)))
