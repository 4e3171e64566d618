import itertools
import math

import numpy as np
import pytest

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation import distances as blocks
from xreid_plugin.visualization.distances import EDGES, PairCounts, distance_panels, pair_counts
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


def test_few_pairs_have_few_bins_and_are_all_there():
    few = PairCounts(np.full(100, 1), np.full(100, 1)).coarse
    assert few.same.tolist() == [5] * 20
    assert len(PairCounts(np.full(100, 100), np.full(100, 100)).coarse.same) == 100


def test_histograms_are_drawn_even_without_a_pair():
    counts = {crosses: PairCounts(np.zeros(100, int), np.zeros(100, int)) for crosses in (False, True)}
    panels = distance_panels(counts)
    assert render(panels, "png")
    assert "unknown share" in panels[0].alt
