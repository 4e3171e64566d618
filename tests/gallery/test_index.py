from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.galleries import EMPTY, batch, unit_rows
from xreid_plugin.gallery import index
from xreid_plugin.gallery.index import Found, nearest, search_exactly
from xreid_plugin.gallery.store import Gallery, Selection, add, create, remove

ROWS = 1500


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100), st.integers(1, 25), st.integers(1, 12), st.integers(1, 400), st.data())
def test_the_nearest_are_those_of_a_plain_loop(count, queries, k, block, data):
    gallery, asked = unit_rows(count, seed=1), unit_rows(queries, seed=2)
    first = data.draw(st.integers(0, count - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", block)
        found = search_exactly(asked, gallery, k, first)
        chosen = np.sort(np.random.default_rng(0).permutation(count)[: data.draw(st.integers(1, count))])
        some = search_exactly(asked, gallery, k, among=chosen)
    for query, *both in zip(asked, *found, *some, strict=True):
        for rows, searched in zip(both[1::2], (np.arange(first, count), chosen), strict=True):
            expected = searched[np.argsort(-(gallery[searched] @ query))[:k]]
            np.testing.assert_array_equal(rows, expected)
        np.testing.assert_allclose(both[0], gallery[both[1]] @ query, atol=1e-6)


def test_of_equally_near_ones_the_lower_row_comes_first():
    near = np.array([[0.5, 0.5, 0.9]], np.float32)
    found = nearest(2, Found(near, np.array([[7, 3, 8]])), Found(near[:, :1], np.array([[1]])))
    assert found.rows.tolist() == [[8, 1]]


@pytest.fixture(params=["ivf", "hnsw"])
def folder(request, tmp_path):
    """Of a gallery with an index."""
    create(tmp_path / "gallery", replace(EMPTY, kind=request.param, recall_wanted=0.9))
    add(tmp_path / "gallery", [batch(ROWS, people=60)])
    return tmp_path / "gallery"


def test_it_finds_the_wanted_share_with_exact_cosines(folder):
    gallery = Gallery(folder)
    assert gallery.manifest.index.rows == ROWS
    assert gallery.manifest.index.recall >= 0.85
    # Queries that neither chose the effort nor measured the recall.
    near = unit_rows(ROWS, seed=0, people=60)[::5] + 0.05 * unit_rows(ROWS // 5, seed=3)
    queries = near / np.linalg.norm(near, axis=1, keepdims=True)
    exact, found = gallery.search(queries, 10, exact=True), gallery.search(queries, 10)
    assert np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(exact.rows, found.rows, strict=True)]) >= 0.85
    for query, similarities, rows in zip(queries, *found, strict=True):
        np.testing.assert_allclose(similarities, gallery.embeddings[rows] @ query, atol=1e-6)
        assert (np.diff(similarities) <= 0).all()


def test_rows_behind_the_index_are_found_too_and_make_it_anew_when_they_are_many(folder):
    before, late = Gallery(folder), unit_rows(100, seed=8)
    add(folder, [(late, batch(100)[1])])
    gallery = Gallery(folder)
    assert gallery.manifest.index == before.manifest.index
    np.testing.assert_array_equal(gallery.search(late, 1).rows[:, 0], ROWS + np.arange(100))
    add(folder, [batch(500, 9)])
    assert Gallery(folder).manifest.index.rows == len(Gallery(folder)) == ROWS + 600
    assert [path.name for path in folder.glob("index-*")] == [f"index-{ROWS + 600}.faiss"]
    # Whoever has the gallery open goes on in its state.
    assert before.search(late, 10).rows.max() < ROWS
    remove(folder, Selection(numbers=range(1, ROWS + 1)))
    assert {path.name for path in folder.iterdir()} == {"gallery.sqlite", "embeddings-1.f32"}
    np.testing.assert_array_equal(Gallery(folder).search(late, 1).rows[:, 0], np.arange(100))
