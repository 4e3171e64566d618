import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.galleries import unit_rows
from xreid_plugin.gallery import exact
from xreid_plugin.gallery.exact import Found, Rows, nearest, search_exactly


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    queries=st.integers(1, 25),
    k=st.integers(1, 12),
    block=st.integers(1, 40),
    data=st.data(),
)
def test_the_nearest_are_those_of_a_plain_loop(parts, queries, k, block, data):
    gallery = unit_rows(sum(parts), seed=1)
    start = data.draw(st.integers(0, len(gallery) - 1))
    stop = data.draw(st.integers(start + 1, len(gallery)))
    asked = unit_rows(queries, seed=2)
    rows = Rows(np.split(gallery, np.cumsum(parts)[:-1]))
    before, exact.BLOCK_ROWS = exact.BLOCK_ROWS, block
    try:
        found = search_exactly(asked, rows, k, start, stop)
    finally:
        exact.BLOCK_ROWS = before
    for query, scores, numbers in zip(asked, *found, strict=True):
        cosines = gallery[start:stop] @ query
        expected = start + np.argsort(-cosines)[:k]
        np.testing.assert_array_equal(numbers, expected)
        np.testing.assert_allclose(scores, gallery[expected] @ query, atol=1e-6)


def test_rows_of_several_parts_are_taken_in_any_order():
    gallery = unit_rows(20)
    rows = Rows([gallery[:3], gallery[3:4], gallery[4:]])
    wanted = np.array([19, 3, 0, 3, 2, 4])
    np.testing.assert_array_equal(rows.take(wanted), gallery[wanted])
    assert [rows.locate(row) for row in (0, 2, 3, 4, 19)] == [(0, 0), (0, 2), (1, 0), (2, 0), (2, 15)]


def test_of_equal_scores_the_lower_row_comes_first():
    scores = np.array([[0.5, 0.5, 0.9]], np.float32)
    found = nearest(2, Found(scores, np.array([[7, 3, 8]])), Found(scores[:, :1], np.array([[1]])))
    assert found.rows.tolist() == [[8, 1]]
