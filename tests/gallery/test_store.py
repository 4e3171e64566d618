import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.gallery.galleries import DIMENSIONS, EMPTY, batch, unit_rows
from xreid_plugin.gallery.records import DATABASE, EMBEDDINGS, Manifest, Record, Selection
from xreid_plugin.gallery.store import Gallery, add, create, remove

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    """Of a gallery of ten rows."""
    create(tmp_path / "gallery", EMPTY)
    add(tmp_path / "gallery", [batch(10, 0)])
    return tmp_path / "gallery"


def test_what_is_put_in_comes_out_in_its_order(folder):
    odd = Record('"ñ"\n人', "a.mp4", "7", "gate 4", "visible", 1.5, 0.5, 2.25, "d1", b"\xff\x00")
    batches = [batch(7, 0), (unit_rows(1, 1), [odd]), batch(20, 2)]
    add(folder, batches[:2])
    add(folder, batches[2:])
    gallery = Gallery(folder)
    whole = [batch(10, 0), *batches]
    np.testing.assert_array_equal(gallery.embeddings, np.concatenate([rows for rows, _ in whole]))
    records = [record for _, part in whole for record in part]
    assert gallery.records() == [record._replace(number=number) for number, record in enumerate(records, 1)]
    assert gallery.records([17, 3], strips=False) == [odd._replace(number=18, strip=b""), records[3]._replace(number=4)]
    assert gallery.known("digest") == {"d1"}
    with pytest.raises(ValueError, match="digest"):
        add(folder, [batch(3, 5), (unit_rows(1, 1), [odd])])
    assert len(Gallery(folder)) == len(records)
    # A million rows are not read before they are searched.
    assert not gallery.embeddings.flags.owndata
    assert not gallery.embeddings.flags.writeable


ADDS = """
import sys
from pathlib import Path
import xreid_plugin
from tests.gallery.galleries import batch
from xreid_plugin.gallery.store import add

print("begun", flush=True)
for number in range(1, 10**6):
    add(Path(sys.argv[1]), (batch(5, 10 * number + part) for part in range(8)))
"""


def test_a_killed_writer_leaves_whole_additions(folder):
    reader = Gallery(folder)
    process = subprocess.Popen([sys.executable, "-c", ADDS, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(random.uniform(0, 0.5))
    process.kill()
    process.communicate()
    additions = (len(Gallery(folder)) - 10) // 40
    expected = [unit_rows(5, 10 * number + part) for number in range(1, additions + 1) for part in range(8)]
    add(folder, [batch(3, 9)])
    expected = np.concatenate([unit_rows(10, 0), *expected, unit_rows(3, 9)])
    np.testing.assert_array_equal(Gallery(folder).embeddings, expected)
    np.testing.assert_array_equal(reader.embeddings, unit_rows(10, 0))
    assert {path.name for path in folder.iterdir()} == {DATABASE, EMBEDDINGS}


def test_a_second_writer_is_refused_or_waits_while_readers_go_on(folder):
    waiting = threading.Thread(target=add, args=(folder, [batch(2, 3)], -1))

    def batches():
        yield batch(4, 1)
        with pytest.raises(ValueError, match="another process"):
            add(folder, [batch(1, 9)])
        waiting.start()
        assert len(Gallery(folder)) == 10
        yield batch(4, 2)

    add(folder, batches())
    waiting.join()
    expected = [unit_rows(10, 0), unit_rows(4, 1), unit_rows(4, 2), unit_rows(2, 3)]
    np.testing.assert_array_equal(Gallery(folder).embeddings, np.concatenate(expected))


def test_readers_see_whole_states_while_a_writer_adds(folder):
    def write():
        for seed in range(1, 20):
            add(folder, [batch(10, seed)])

    def read():
        while not written.done():
            gallery = Gallery(folder)
            expected = np.concatenate([unit_rows(10, seed) for seed in range(len(gallery) // 10)])
            np.testing.assert_array_equal(gallery.embeddings, expected)
            assert len(gallery.records()) == len(gallery)
            assert gallery.size >= gallery.embeddings.nbytes

    with ThreadPoolExecutor() as pool:
        written = pool.submit(write)
        for reader in [pool.submit(read) for _ in range(3)]:
            reader.result()
    assert len(Gallery(folder)) == 200


def test_a_failed_addition_adds_nothing(folder):
    for wrong in (np.zeros((1, DIMENSIONS)), np.full((1, DIMENSIONS), np.nan), unit_rows(1, dimensions=15)):
        with pytest.raises(ValueError, match="16 dimensions"):
            add(folder, [batch(5, 1), (wrong.astype(np.float32), batch(1)[1])])
    assert len(Gallery(folder).records()) == 10
    add(folder, [batch(2, 3)])
    np.testing.assert_array_equal(Gallery(folder).embeddings, np.concatenate([unit_rows(10, 0), unit_rows(2, 3)]))


def test_what_is_removed_leaves_nothing_behind_and_the_rest_as_it_was(folder):
    reader, secret = Gallery(folder), Record("somebody", strip=b"frames of somebody" * 100)
    add(folder, [(unit_rows(1, 1), [secret]), batch(4, 2)])
    (folder / "embeddings-1.f32").write_bytes(b"of a writer that was killed")
    assert remove(folder, Selection(numbers=[2, 11])) == 2
    gallery, stay = Gallery(folder), [0, *range(2, 10)]
    np.testing.assert_array_equal(gallery.embeddings, np.concatenate([unit_rows(10, 0)[stay], unit_rows(4, 2)]))
    assert [record.number for record in gallery.records()] == [1, *range(3, 11), *range(12, 16)]
    assert gallery.records([8])[0].source == "0, 9"
    assert {path.name for path in folder.iterdir()} == {DATABASE, "embeddings-1.f32"}
    assert b"frames of somebody" not in (folder / DATABASE).read_bytes()
    # Whoever has it open searches on, but rows have other records now.
    assert reader.search(unit_rows(10, 0)[1:2], 1).rows.tolist() == [[1]]
    with pytest.raises(ValueError, match="removed"):
        reader.records([1])
    add(folder, [batch(1, 3)])
    assert Gallery(folder).records([13])[0].number == 16
    with pytest.raises(ValueError, match="tracklet 2 "):
        remove(folder, Selection(numbers=[2]))
    # One from which all was removed is a gallery, too: whoever has it open must not read others' records.
    remove(folder, Selection())
    with pytest.raises(ValueError, match="a gallery already"):
        create(folder, EMPTY)


def test_tracklets_are_selected_by_all_that_is_said_of_them(folder):
    gallery = Gallery(folder)
    assert gallery.select(Selection()) is None
    for selection, rows in [
        (Selection(camera="gate 1"), [1, 4, 7]),
        (Selection(camera="gate 1", identity="person 4"), [4]),
        (Selection(after=1e9 + 7), [7, 8, 9]),
        (Selection(after=1e9 + 1, before=1e9 + 2), [1, 2]),
        (Selection(numbers=[1, 10]), [0, 9]),
        (Selection(modality="visible"), []),
    ]:
        assert gallery.select(selection).tolist() == rows


def test_a_build_that_failed_can_be_begun_again(tmp_path):
    create(tmp_path, EMPTY)
    assert Gallery(tmp_path).search(unit_rows(2), 3).rows.shape == (2, 0)
    create(tmp_path, Manifest(15))
    assert Gallery(tmp_path).manifest.dimensions == 15


def test_what_is_not_the_gallerys_own_is_left_alone(tmp_path, folder):
    (tmp_path / "letters").mkdir()
    own = [tmp_path / "letters" / "index-notes.txt", folder / "index-notes.txt", folder / "embeddings-notes.f32"]
    for path in own:
        path.write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        create(tmp_path / "letters", EMPTY)
    with pytest.raises(ValueError, match="a gallery already"):
        create(folder, EMPTY)
    with pytest.raises(ValueError, match="is no gallery"):
        add(tmp_path / "letters", [batch(1)])
    add(folder, [batch(1)])
    assert [path.read_text() for path in own] == ["dear"] * 3
    assert len(list((tmp_path / "letters").iterdir())) == 1
