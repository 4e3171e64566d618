from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gallery.galleries import unit_rows
from xreid_plugin.evaluation.features import TrackletFeatures, tasks_of_flags
from xreid_plugin.gallery.calibration import calibrate, threshold_at


@given(scores=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60), rate=st.floats(0.001, 0.999))
def test_the_threshold_is_the_least_that_keeps_the_rate(scores, rate):
    scores = np.array(scores, np.float32)
    threshold = threshold_at(scores, rate)
    assert (scores >= threshold).mean() <= rate
    # One step lower, and a score that was refused would pass.
    lower = np.nextafter(np.float32(threshold), np.float32(-np.inf))
    assert (scores >= lower).sum() > np.floor(rate * len(scores))


def features(people=8, tracklets=6, seed=0):
    count = people * tracklets
    modalities = np.arange(count) % 2
    return TrackletFeatures(
        features=2 * unit_rows(count, seed),
        pids=np.arange(count) // tracklets,
        camids=np.arange(count) % 3,
        modalities=modalities,
        tasks=tasks_of_flags(modalities == 0, modalities),
    )


@pytest.mark.parametrize("direction", ["I2V", None])
def test_pairs_are_those_of_a_plain_loop(direction):
    data = features()
    units = data.features / np.linalg.norm(data.features, axis=1, keepdims=True)
    tasks = [data.tasks[direction]] if direction else data.tasks.values()
    # Both directions have the same pairs.
    pairs = {tuple(sorted(pair)) for task in tasks for pair in product(task.query, task.gallery)}
    same, different = [], []
    for query, other in pairs:
        if data.pids[query] != data.pids[other]:
            different.append(units[query] @ units[other])
        elif data.camids[query] != data.camids[other]:
            same.append(units[query] @ units[other])
    found = calibrate(data, 0.1, direction)
    assert (found.same, found.different) == (len(same), len(different))
    assert found.true_match_rate == pytest.approx(np.mean(np.array(same) >= found.threshold - 1e-6), abs=0.02)
    assert 0.09 < found.false_match_rate <= 0.1


def test_a_rate_that_the_pairs_cannot_tell_is_refused():
    data = features()
    pairs = calibrate(data, 0.1).different
    assert calibrate(data, 1.0001 / pairs).false_match_rate <= 1.0001 / pairs
    with pytest.raises(ValueError, match=f" {pairs} pairs"):
        calibrate(data, 0.99 / pairs)
    for rate in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            calibrate(data, rate)
