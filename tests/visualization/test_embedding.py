import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.feature_sets import random_features
from xreid_plugin.visualization.embedding import embedding_map, modality_gap
from xreid_plugin.visualization.embedding_panels import identities_to_show, map_panels
from xreid_plugin.visualization.panels import render


def opposite(angle):
    """Infrared features at ± the angle from one axis, visible ones opposite: the means are 2 cos apart, spread sin."""
    x, y = math.cos(angle), math.sin(angle)
    return np.array([[x, y], [x, -y], [-x, y], [-x, -y]], np.float32), np.array([0, 0, 1, 1])


@given(st.floats(0.05, math.pi / 2))
def test_the_gap_of_four_points_is_known(angle):
    assert modality_gap(*opposite(angle)) == pytest.approx(2 / math.tan(angle), rel=1e-4, abs=1e-6)


@given(st.integers(0, 1000))
def test_the_gap_knows_no_direction(seed):
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(12, 5)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    modalities = np.arange(12) % 2
    turned = (units @ np.linalg.qr(rng.normal(size=(5, 5)))[0]).astype(np.float32)
    gap = modality_gap(units, modalities)
    assert modality_gap(turned, modalities) == pytest.approx(gap, rel=1e-4)
    assert modality_gap(units, 1 - modalities) == pytest.approx(gap)


def test_the_gap_of_a_collapse():
    alike = np.tile(np.float32([[0.6, 0.8]]), (4, 1))
    assert modality_gap(alike, np.array([0, 0, 1, 1])) == 0
    alike[2:] = [1, 0]
    assert modality_gap(alike, np.array([0, 0, 1, 1])) == math.inf


def test_people_far_apart_lie_apart_on_the_map():
    rng = np.random.default_rng(0)
    pids = np.repeat([0, 1], 24)
    features = np.eye(6)[pids] + 0.02 * rng.normal(size=(48, 6))
    found = embedding_map(random_features(features=features.astype(np.float32), pids=pids))
    distances = np.linalg.norm(found.points[:, None] - found.points, axis=2) + 1e9 * np.eye(48)
    assert (pids[distances.argmin(1)] == pids).all()


def test_the_map_depends_on_the_seed_alone():
    data = random_features()
    one, again = (embedding_map(data, seed=3).points for _ in range(2))
    assert np.array_equal(one, again)


def test_too_many_tracklets_are_drawn_by_lot():
    data = random_features()
    found = embedding_map(data, most=20)
    assert found.points.shape == (20, 2)
    assert found.total == len(data.pids)
    assert found.gap == embedding_map(data).gap
    assert f"20 test tracklets out of {len(data.pids)}" in map_panels(found)[0].alt


def test_a_collapsed_model_has_a_map():
    data = random_features(features=np.ones((48, 12), np.float32))
    found = embedding_map(data)
    assert np.isfinite(found.points).all()
    assert all(render([panel], "png") for panel in map_panels(found))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.ones((48, 1), np.float32)}, "4 tracklets of 2 dimensions"),
        ({"modalities": np.zeros(48, int)}, "no visible tracklet"),
    ],
)
def test_what_has_no_map(changes, message):
    with pytest.raises(ValueError, match=message):
        embedding_map(random_features(**changes))


def test_a_few_identities_are_shown():
    assert identities_to_show(np.array([5, 5, 2])) == [2, 5]
    shown = identities_to_show(np.arange(100))
    assert (len(shown), shown[0], shown[-1]) == (7, 0, 99)
