import numpy as np
import pytest

from tests.gallery.galleries import EMPTY, batch, unit_rows
from xreid_plugin.gallery import index
from xreid_plugin.gallery.index import is_due, wanted_kind
from xreid_plugin.gallery.manifest import IndexEntry
from xreid_plugin.gallery.records import GalleryError
from xreid_plugin.gallery.store import Gallery, add, create

ROWS = 1500
ENTRY = IndexEntry(f"index-{'0' * 32}", "ivf", 1000, 4, 1.0, 10)


@pytest.fixture(scope="module", params=["ivf", "hnsw"])
def indexed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed") / "gallery"
    manifest = EMPTY.__class__(dimensions=16, kind=request.param, recall_wanted=0.9)
    create(folder, manifest, [batch(ROWS, people=60)])
    return folder


def recall(gallery, queries):
    exact, found = gallery.search(queries, 10, exact=True), gallery.search(queries, 10)
    return np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(exact.rows, found.rows, strict=True)])


def test_it_finds_the_wanted_share_and_says_which(indexed):
    gallery = Gallery(indexed)
    assert gallery.manifest.index.rows == ROWS
    assert gallery.manifest.index.recall >= 0.85
    # Queries that neither chose the effort nor measured the recall.
    near = unit_rows(ROWS, seed=0, people=60)[::5] + 0.05 * unit_rows(ROWS // 5, seed=3)
    queries = near / np.linalg.norm(near, axis=1, keepdims=True)
    assert recall(gallery, queries) >= 0.85


def test_scores_are_exact_cosines(indexed):
    gallery = Gallery(indexed)
    queries = unit_rows(20, seed=5)
    found = gallery.search(queries, 5)
    for query, scores, rows in zip(queries, *found, strict=True):
        np.testing.assert_allclose(scores, gallery.rows.take(rows) @ query, atol=1e-6)
        assert (np.diff(scores) <= 0).all()


def test_rows_behind_the_index_are_found_too_and_make_it_anew_when_they_are_many(indexed, tmp_path):
    folder = tmp_path / "gallery"
    create(folder, Gallery(indexed).manifest.__class__(16, kind="ivf"), [batch(ROWS, people=60)])
    first = Gallery(folder).manifest.index
    late = unit_rows(100, seed=8)
    add(folder, [(late, batch(100)[1])])
    gallery = Gallery(folder)
    assert gallery.manifest.index == first
    found = gallery.search(late, 1)
    np.testing.assert_array_equal(found.rows[:, 0], ROWS + np.arange(100))
    add(folder, [batch(500, 9)])
    gallery = Gallery(folder)
    assert gallery.manifest.index.rows == len(gallery) == ROWS + 600
    assert sum(path.name.startswith("index-") for path in folder.iterdir()) == 1


@pytest.mark.parametrize(
    ("kind", "rows", "wanted"),
    [
        ("exact", 10**7, "exact"),
        ("auto", index.AUTO_ROWS - 1, "exact"),
        ("auto", index.AUTO_ROWS, "ivf"),
        ("hnsw", index.LEAST_ROWS - 1, "exact"),
        ("hnsw", index.LEAST_ROWS, "hnsw"),
    ],
)
def test_the_kind_goes_by_the_flag_and_the_size(kind, rows, wanted):
    assert wanted_kind(kind, rows) == wanted
    assert is_due(kind, rows, None) == (wanted != "exact")


def test_an_index_is_due_again_when_over_a_quarter_lies_behind_it():
    assert not is_due("ivf", 1333, ENTRY)
    assert is_due("ivf", 1334, ENTRY)


def test_a_damaged_index_is_named(tmp_path):
    folder = tmp_path / "gallery"
    create(folder, EMPTY.__class__(16, kind="ivf"), [batch(ROWS)])
    path = folder / Gallery(folder).manifest.index.name
    path.write_bytes(b"no index" * 100)
    with pytest.raises(GalleryError, match=f"{path.name} is damaged"):
        Gallery(folder)
    path.unlink()
    with pytest.raises(GalleryError, match=f"{path.name} is missing"):
        Gallery(folder)
