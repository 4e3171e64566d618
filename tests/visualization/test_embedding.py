import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation import metrics
from xreid_plugin.visualization.embedding import (
    EDGES,
    distance_panels,
    embedding_map,
    map_panels,
    modality_gap,
    pair_counts,
)
from xreid_plugin.visualization.panels import LIGHT, render


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
            expected[kind].append(1 - units[one] @ units[two])
    counts = pair_counts(data)
    for kind, distances in expected.items():
        # A distance at an edge may round to either side.
        assert np.abs(counts[kind].cumsum() - np.histogram(distances, EDGES)[0].cumsum()).max() <= 1
        assert counts[kind].sum() == len(distances)


def test_both_histograms_have_the_same_axes_and_nothing_is_cut():
    counts = np.zeros((2, 2, 100), int)
    # Distances from 0.14 to 0.16, and from 1.8 to 1.82: of bins 0.1 wide, the second and the last but one.
    counts[0, :, 7], counts[:, :, 90] = 3, 6
    axes = []
    for panel in distance_panels(counts):
        figure = Figure()
        panel.draw(figure, LIGHT)
        axes += figure.axes
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_xlim()[0] < 0.1 < 1.9 < axes[0].get_xlim()[1]
    assert "overlap by 100 %" in distance_panels(counts)[0].alt
    assert render(distance_panels(np.zeros((2, 2, 100), int)), "png")
