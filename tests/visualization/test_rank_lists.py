import numpy as np
import pytest

from tests.evaluation.feature_sets import random_features
from xreid_plugin.visualization.rank_lists import PICKS, rank_lists


def plain(data, direction, query, same_camera):
    """A list by a plain loop: (distance, tracklet) of what the query sees, nearest first, and its precision."""
    entries = []
    for other in data.tasks[direction].gallery:
        same = data.pids[other] == data.pids[query]
        if same and data.camids[other] == data.camids[query] and same_camera == "exclude":
            continue
        one, two = (data.features[i].astype(float) for i in (query, other))
        entries.append((1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two), other, bool(same)))
    entries.sort()
    places = [place for place, (_, _, right) in enumerate(entries, 1) if right]
    return entries, np.mean([n / place for n, place in enumerate(places, 1)])


@pytest.mark.parametrize("direction", ["I2V", "V2I"])
@pytest.mark.parametrize("same_camera", ["exclude", "keep"])
def test_lists_are_those_of_a_plain_loop(direction, same_camera):
    data = random_features(camids=np.tile([0, 0, 0, 1, 2, 2], 8))
    found = rank_lists(data, direction, 100, 5, same_camera)
    assert sorted(ranked.query for ranked in found) == sorted(data.tasks[direction].query)
    for ranked in found:
        expected, precision = plain(data, direction, ranked.query, same_camera)
        assert [(entry.tracklet, entry.right) for entry in ranked.found] == [(t, right) for _, t, right in expected[:5]]
        assert [entry.distance for entry in ranked.found] == pytest.approx([d for d, _, _ in expected[:5]], abs=1e-5)
        assert ranked.average_precision == pytest.approx(precision)
        assert ranked.first_match == 1 + [right for _, _, right in expected].index(True)


def test_a_query_without_a_match_is_left_out():
    data = random_features()
    pids = data.pids.copy()
    lonely = data.tasks["I2V"].query[2]
    pids[lonely] = 99
    found = rank_lists(random_features(pids=pids), "I2V", 100, 5)
    assert len(found) == len(data.tasks["I2V"].query) - 1
    assert lonely not in [ranked.query for ranked in found]


def test_queries_are_picked_by_their_precision():
    data = random_features()
    every = [ranked.average_precision for ranked in rank_lists(data, "I2V", 100, 5)]
    assert every == sorted(every, reverse=True)
    picked = {pick: [r.average_precision for r in rank_lists(data, "I2V", 3, 5, pick=pick)] for pick in PICKS}
    assert picked["best"] == every[:3]
    assert picked["worst"] == every[-3:]
    assert (picked["spread"][0], picked["spread"][-1]) == (every[0], every[-1])
    assert picked["random"] == sorted(picked["random"], reverse=True)


def test_the_first_match_may_lie_below_what_is_shown():
    found = rank_lists(random_features(), "I2V", 100, 1)
    assert {ranked.first_match == 1 for ranked in found} == {True, False}
    assert all((ranked.first_match == 1) == ranked.found[0].right for ranked in found)


def test_the_lot_depends_on_the_seed_alone():
    data = random_features()
    drawn = [[r.query for r in rank_lists(data, "I2V", 3, 5, pick="random", seed=seed)] for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(queries) for queries in drawn}) > 1
