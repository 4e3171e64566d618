import itertools
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.galleries import DIMENSIONS, EMPTY, batch, unit_rows
from xreid_plugin.gallery.manifest import FILE
from xreid_plugin.gallery.records import GalleryError
from xreid_plugin.gallery.store import LOCK, Gallery, add, change, create

ROOT = Path(__file__).resolve().parents[2]


def contents(folder):
    gallery = Gallery(folder)
    return gallery.rows.take(np.arange(len(gallery))), list(gallery.records())


def test_what_is_put_in_comes_out_in_its_order(tmp_path):
    folder = tmp_path / "gallery"
    batches = [batch(7, 0), batch(3, 1), batch(20, 2)]
    create(folder, EMPTY, batches[:2])
    add(folder, batches[2:])
    embeddings, records = contents(folder)
    np.testing.assert_array_equal(embeddings, np.concatenate([rows for rows, _ in batches]))
    assert records == [record for _, part in batches for record in part]


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_many_additions_leave_few_segments_and_nothing_else(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("galleries") / "gallery"
    create(folder, EMPTY, [batch(sizes[0], 0)])
    for seed, size in enumerate(sizes[1:], start=1):
        add(folder, [batch(size, seed)])
    embeddings, _ = contents(folder)
    np.testing.assert_array_equal(embeddings, np.concatenate([unit_rows(n, s) for s, n in enumerate(sizes)]))
    manifest = Gallery(folder).manifest
    rows = [entry.rows for entry in manifest.segments]
    assert all(first >= 2 * second for first, second in itertools.pairwise(rows))
    assert {path.name for path in folder.iterdir()} == {FILE, LOCK, *(entry.name for entry in manifest.segments)}


def test_embeddings_are_mapped_and_not_read(tmp_path):
    create(tmp_path / "gallery", EMPTY, [batch(50)])
    (segment,) = Gallery(tmp_path / "gallery").segments
    assert not segment.embeddings.flags.owndata
    assert not segment.embeddings.flags.writeable


KILLED = """
import sys
from pathlib import Path
import xreid_plugin
from tests.gallery.galleries import batch
from xreid_plugin.gallery import store

def stop_here(*_):
    print("here", flush=True)
    sys.stdin.readline()

def batches():
    yield batch(30, 1)
    if sys.argv[2] == "between batches":
        stop_here()
    yield batch(400, 2)

if sys.argv[2] == "before the manifest":
    store.Manifest.write = stop_here
if sys.argv[2] == "after the manifest":
    sweep = store._sweep
    store._sweep = lambda folder, manifest: stop_here() if manifest.rows > 100 else sweep(folder, manifest)
store.add(Path(sys.argv[1]), batches())
"""


def stopped_writer(folder, place):
    """A process that has stopped in the midst of an addition."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), place],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "here\n"
    return process


@pytest.mark.parametrize("place", ["between batches", "before the manifest", "after the manifest"])
def test_a_kill_leaves_the_old_state_or_the_new_one(tmp_path, place):
    folder = tmp_path / "gallery"
    create(folder, EMPTY, [batch(10, 0)])
    old = unit_rows(10, 0)
    reader = Gallery(folder)
    writer = stopped_writer(folder, place)
    with pytest.raises(GalleryError, match="written to by another process"):
        add(folder, [batch(1, 9)])
    writer.kill()
    writer.communicate()
    np.testing.assert_array_equal(reader.rows.take(np.arange(10)), old)
    expected = [old] if place != "after the manifest" else [old, unit_rows(30, 1), unit_rows(400, 2)]
    np.testing.assert_array_equal(contents(folder)[0], np.concatenate(expected))
    add(folder, [batch(2, 3)])
    np.testing.assert_array_equal(contents(folder)[0], np.concatenate([*expected, unit_rows(2, 3)]))
    named = {entry.name for entry in Gallery(folder).manifest.segments}
    assert {path.name for path in folder.iterdir()} == {FILE, LOCK, *named}


def test_a_failed_addition_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "gallery"
    create(folder, EMPTY, [batch(10)])
    before = sorted(folder.iterdir())

    def failing():
        yield batch(5, 1)
        raise OSError("no more frames")

    with pytest.raises(OSError, match="no more frames"):
        add(folder, failing())
    with pytest.raises(GalleryError, match="no tracklet"):
        add(folder, [])
    for wrong in (np.zeros((1, DIMENSIONS)), np.full((1, DIMENSIONS), np.nan), np.ones((1, DIMENSIONS))):
        with pytest.raises(GalleryError, match="length"):
            add(folder, [(wrong.astype(np.float32), batch(1)[1])])
    with pytest.raises(GalleryError, match="16 dimensions"):
        add(folder, [batch(3, dimensions=15)])
    assert sorted(folder.iterdir()) == before
    assert len(Gallery(folder)) == 10


def test_readers_see_whole_states_while_a_writer_adds(tmp_path):
    folder = tmp_path / "gallery"
    create(folder, EMPTY, [batch(4, 0)])
    done, seen, faults = threading.Event(), set(), []

    def read():
        try:
            while not done.is_set():
                embeddings, records = contents(folder)
                rows = len(embeddings)
                assert len(records) == rows
                assert rows % 4 == 0
                np.testing.assert_array_equal(
                    embeddings, np.concatenate([unit_rows(4, seed) for seed in range(rows // 4)])
                )
                seen.add(rows)
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for seed in range(1, 25):
        add(folder, [batch(4, seed)])
    done.set()
    for reader in readers:
        reader.join()
    assert not faults
    assert seen
    assert len(Gallery(folder)) == 100


def test_only_a_folder_of_its_own_becomes_a_gallery(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    with pytest.raises(GalleryError, match="not empty"):
        create(tmp_path / "letters", EMPTY, [batch(1)])
    create(tmp_path / "gallery", EMPTY, [batch(1)])
    with pytest.raises(GalleryError, match="a gallery already"):
        create(tmp_path / "gallery", EMPTY, [batch(1)])
    with pytest.raises(GalleryError, match="is no gallery"):
        add(tmp_path / "letters", [batch(1)])
    with pytest.raises(GalleryError, match="is no gallery"):
        Gallery(tmp_path / "nowhere")


def test_a_damaged_gallery_is_named(tmp_path):
    folder = tmp_path / "gallery"
    create(folder, EMPTY, [batch(5)])
    (segment,) = Gallery(folder).manifest.segments
    manifest = (folder / FILE).read_text()
    facts = json.loads(manifest)
    away = "../../etc"
    for changed, named in [
        ("{", "damaged"),
        ("[]", "schema None"),
        (json.dumps({**facts, "schema": 99}), "schema 99"),
        (json.dumps({**facts, "segments": [{"name": away, "rows": 5}]}), "no entry"),
        (json.dumps({**facts, "segments": [{"name": segment.name, "rows": 6}]}), "expected float32"),
        (json.dumps({**facts, "more": 1}), "damaged"),
        (json.dumps({**facts, "dimensions": "16"}), "dimensions"),
    ]:
        (folder / FILE).write_text(changed)
        with pytest.raises(GalleryError, match=named):
            Gallery(folder)
    (folder / FILE).write_text(manifest)
    embeddings = folder / segment.name / "embeddings.npy"
    np.save(embeddings, np.array([{}], object), allow_pickle=True)
    with pytest.raises(GalleryError, match=r"embeddings.npy is damaged"):
        Gallery(folder)
    embeddings.unlink()
    with pytest.raises(GalleryError, match=r"embeddings.npy.* is missing"):
        Gallery(folder)


def test_fields_change_and_rows_stay(tmp_path):
    folder = tmp_path / "gallery"
    manifest = create(folder, EMPTY, [batch(5)])
    assert change(folder, checkpoint="a.pth") == replace(manifest, checkpoint="a.pth") == Gallery(folder).manifest
    assert len(Gallery(folder)) == 5
