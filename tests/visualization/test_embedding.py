import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation import metrics
from xreid_plugin.visualization.embedding import EDGES, embedding_map, map_panels, modality_gap, pair_counts
from xreid_plugin.visualization.panels import render


@given(st.floats(0.05, math.pi / 2))
def test_the_gap_of_four_points_is_known(angle):
    # Infrared features at ± the angle from one axis, visible ones opposite: the means are 2 cos apart, spread sin.
    x, y = math.cos(angle), math.sin(angle)
    units = np.array([[x, y], [x, -y], [-x, y], [-x, -y]], np.float32)
    assert modality_gap(units, np.array([0, 0, 1, 1])) == pytest.approx(2 / math.tan(angle), rel=1e-4, abs=1e-6)


def test_people_far_apart_lie_apart_on_the_map_whose_seed_decides_it():
    rng = np.random.default_rng(0)
    pids = np.repeat([0, 1], 24)
    units = (np.eye(6)[pids] + 0.02 * rng.normal(size=(48, 6))).astype(np.float32)
    points = embedding_map(units, 3)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(48)
    assert (pids[distances.argmin(1)] == pids).all()
    assert np.array_equal(points, embedding_map(units, 3))


def test_too_many_tracklets_are_drawn_by_lot_and_a_map_needs_both_modalities():
    panels = map_panels(random_features(), most=20)
    assert "20 test tracklets out of 48" in panels[0].alt
    assert render(panels, "png")
    with pytest.raises(ValueError, match="both modalities"):
        map_panels(random_features(modalities=np.zeros(48, int)))


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_every_pair_counts_once(monkeypatch, same_camera):
    # Several chunks, the last of another length.
    monkeypatch.setattr(metrics, "CHUNK_ENTRIES", 48 * 7)
    data = random_features(protocol={"same_camera": same_camera})
    units = data.features / np.linalg.norm(data.features, axis=1, keepdims=True)
    expected = {kind: [] for kind in np.ndindex(2, 2)}
    for one, two in itertools.combinations(range(len(units)), 2):
        same = data.pids[one] == data.pids[two]
        if not (same and data.camids[one] == data.camids[two] and same_camera == "exclude"):
            kind = int(data.modalities[one] != data.modalities[two]), int(same)
            expected[kind].append(units[one] @ units[two])
    counts = pair_counts(data)
    for kind, similarities in expected.items():
        # A similarity at an edge may round to either side.
        assert np.abs(counts[kind].cumsum() - np.histogram(similarities, EDGES)[0].cumsum()).max() <= 1
        assert counts[kind].sum() == len(similarities)
