import sys

import numpy as np
import pytest

from tests.gallery.galleries import DIMENSIONS, EMPTY, batch, unit_rows
from xreid_plugin.gallery.export import export
from xreid_plugin.gallery.records import GalleryError
from xreid_plugin.gallery.store import Gallery, add, create

duckdb = pytest.importorskip("duckdb")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def gallery(tmp_path):
    create(tmp_path / "gallery", EMPTY, [batch(30, 0)])
    add(tmp_path / "gallery", [batch(11, 1)])
    opened = Gallery(tmp_path / "gallery")
    assert len(opened.segments) == 2
    return opened


def test_every_format_holds_the_whole_gallery(gallery, tmp_path):
    files = export(gallery, tmp_path / "out", ("npy", "parquet", "duckdb"))
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    expected = np.concatenate([unit_rows(30, 0), unit_rows(11, 1)])
    np.testing.assert_array_equal(np.load(files[0]), expected)
    table = parquet.read_table(files[1])
    assert table["id"].to_pylist() == list(range(41))
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), expected)
    records = list(gallery.records())
    for name in ("identity", "source", "camera"):
        assert table[name].to_pylist() == [getattr(record, name) for record in records]
    assert [moment.timestamp() for moment in table["time"].to_pylist()] == [record.time for record in records]
    assert table["frames"].to_pylist()[3] == '["3.jpg"]'


def test_the_database_finds_what_the_gallery_finds(gallery, tmp_path):
    (file,) = export(gallery, tmp_path, ("duckdb",))
    queries = unit_rows(5, seed=7)
    found = gallery.search(queries, 6)
    with duckdb.connect(str(file), read_only=True) as database:
        for query, scores, rows in zip(queries, *found, strict=True):
            answer = database.execute(
                f"SELECT id, array_inner_product(embedding, $1::FLOAT[{DIMENSIONS}]) AS score, identity "
                "FROM tracklets ORDER BY score DESC LIMIT 6",
                [query.tolist()],
            ).fetchall()
            assert [line[0] for line in answer] == rows.tolist()
            np.testing.assert_allclose([line[1] for line in answer], scores, atol=1e-6)
            assert [line[2] for line in answer] == [gallery.record(row).identity for row in rows.tolist()]


def test_a_missing_library_is_named_before_anything_is_written(gallery, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(GalleryError, match="pip install pyarrow duckdb"):
        export(gallery, tmp_path / "out", ("npy", "duckdb"))
    assert not (tmp_path / "out").exists()
