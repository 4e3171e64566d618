import itertools
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from xreid_plugin.visualization.distances import (
    EDGES,
    PairCounts,
    bins_to_join,
    distance_panels,
    limits_of,
    pair_counts,
)
from xreid_plugin.visualization.theme import LIGHT

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation import metrics as blocks
from xreid_plugin.visualization.panels import render


@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_every_pair_counts_once(monkeypatch, same_camera):
    # Several chunks, the last of another length.
    monkeypatch.setattr(blocks, "CHUNK_ENTRIES", 48 * 7)
    data = random_features()
    units = data.features / np.linalg.norm(data.features, axis=1, keepdims=True)
    expected = {(crosses, same): [] for crosses in (False, True) for same in (False, True)}
    for one, two in itertools.combinations(range(len(units)), 2):
        same = data.pids[one] == data.pids[two]
        if same and data.camids[one] == data.camids[two] and same_camera == "exclude":
            continue
        expected[bool(data.modalities[one] != data.modalities[two]), bool(same)].append(1 - units[one] @ units[two])
    counts = pair_counts(data, same_camera)
    for crosses, part in counts.items():
        assert part.same.sum() == len(expected[crosses, True])
        assert part.different.sum() == len(expected[crosses, False])
        # A distance at an edge may round to either side.
        wanted = np.histogram(expected[crosses, False], EDGES)[0]
        assert np.abs(part.different.cumsum() - wanted.cumsum()).max() <= 1


def test_the_overlap():
    left, right = np.zeros(100, int), np.zeros(100, int)
    left[:2], right[1:3] = 4, 8
    assert PairCounts(left, right).overlap == 0.5
    assert PairCounts(left, left).overlap == 1
    assert PairCounts(left, np.roll(left, 50)).overlap == 0
    assert math.isnan(PairCounts(left, 0 * left).overlap)


def pairs(same, different):
    return PairCounts(np.full(100, same), np.full(100, different))


def test_few_pairs_have_few_bins_and_are_all_there():
    assert bins_to_join([pairs(1, 100)]) == 5
    assert pairs(1, 1).coarse(5).same.tolist() == [5] * 20
    assert bins_to_join([pairs(100, 100)]) == 1


def test_both_histograms_have_the_bins_of_the_one_with_fewer_pairs():
    assert bins_to_join([pairs(100, 100), pairs(30, 100)]) == 2
    assert bins_to_join([pairs(100, 100), pairs(30, 4)]) == 5


def test_both_histograms_have_the_same_axes_and_nothing_is_cut():
    # Distances from 0.14 to 0.16, and from 1.8 to 1.82: of bins 0.1 wide, the second and the last but one.
    low, high = np.zeros(100, int), np.zeros(100, int)
    low[7], high[90] = 3, 6
    counts = {False: PairCounts(low, low + high), True: PairCounts(high, high)}
    limits = limits_of([part.coarse(5) for part in counts.values()])
    assert limits.distances[0] < 0.1 < 1.9 < limits.distances[1]
    assert limits.share > 1
    axes = []
    for panel in distance_panels(counts):
        figure = Figure()
        panel.draw(figure, LIGHT)
        axes += figure.axes
    assert axes[0].get_xlim() == axes[1].get_xlim() == pytest.approx(limits.distances)
    assert axes[0].get_ylim() == axes[1].get_ylim()
    edges = [[patch.get_data().edges.tolist() for patch in one.patches] for one in axes]
    assert edges[0] == edges[1]


def test_histograms_are_drawn_even_without_a_pair():
    counts = {crosses: PairCounts(np.zeros(100, int), np.zeros(100, int)) for crosses in (False, True)}
    panels = distance_panels(counts)
    assert render(panels, "png")
    assert "unknown share" in panels[0].alt
