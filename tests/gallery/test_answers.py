from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.gallery.galleries import EMPTY, batch, unit_rows
from xreid_plugin.gallery.answers import answer, best_matching
from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery, add, create

# Of quarters, so that sums are often equal, and exactly so.
quarters = st.integers(-4, 4).map(lambda number: number / 4)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=quarters), st.none() | quarters)
def test_of_all_matchings_it_is_the_best_above_the_threshold_and_then_in_all(similarities, threshold):
    def worth(pairs):
        values = np.array([similarities[pair] for pair in pairs])
        return 0 if threshold is None else np.maximum(values - threshold, 0).sum(), values.sum()

    found = list(zip(*best_matching(similarities, threshold), strict=True))
    queries, rows = similarities.shape
    orders = permutations(range(max(queries, rows)), queries)
    every = [[(query, row) for query, row in enumerate(order) if row < rows] for order in orders]
    assert found in every
    assert worth(found) == max(map(worth, every))


def test_two_who_like_one_best_share_and_strangers_get_none(tmp_path):
    create(tmp_path / "gallery", replace(EMPTY, calibration=Calibration(0.6, 0.01, 0.01, 0.8, 100, 10)))
    add(tmp_path / "gallery", [batch(10)])
    gallery = Gallery(tmp_path / "gallery")
    # Both like row 3 best, and the first has somebody else.
    rows = gallery.embeddings
    both = np.stack([rows[3] + 0.9 * rows[5], rows[3] + 0.1 * rows[7], unit_rows(1, 99)[0]])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    asking = [Record()] * 3
    assert [found.nearest.record.number for found in answer(gallery, both, asking)][:2] == [4, 4]
    found = answer(gallery, both, asking, assign=True)
    assert [[hit.record.number for hit in one.hits] for one in found] == [[6], [4], []]
    # A threshold of one's own takes the place of the gallery's.
    found = answer(gallery, both, asking, threshold=0.9)
    assert [[hit.record.number for hit in one.hits] for one in found] == [[], [4], []]
    found = answer(gallery, both, asking, assign=True, among=np.array([3]), threshold=-1)
    assert [[hit.record.number for hit in one.hits] for one in found] == [[], [4], []]
