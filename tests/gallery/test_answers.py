import csv
import io
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.gallery.galleries import EMPTY, batch, unit_rows
from tests.visualization.test_page_in_browser import measured, needs_browser
from xreid_plugin.gallery.answers import answer, as_csv, as_json, as_table, search_page
from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery, add, create

EVIL = "<script>alert(1)</script>\x1b[31m\nred\u202e"
CALIBRATION = Calibration(0.9, 0.01, 0.01, 0.8, 100, 10)


@pytest.fixture
def gallery(tmp_path):
    """Of ten strangers and one of whom nothing good is said, with a threshold of 0.9."""
    create(tmp_path / "gallery", replace(EMPTY, model="m" * 64, calibration=CALIBRATION))
    evil = Record(EVIL, EVIL, camera=EVIL, strip=b"jpeg")
    add(tmp_path / "gallery", [batch(10), (unit_rows(1, 5), [evil])])
    return Gallery(tmp_path / "gallery")


def test_all_outputs_say_the_same_and_escape_what_is_not_theirs(gallery):
    queries = np.concatenate([unit_rows(1, 5), unit_rows(1, 77)])
    asking = [Record("", "a.avi", "3", "gate 4", "infrared", None, 1.0, 59.96), Record("", "b")]
    answers = answer(gallery, queries, asking, top=3)
    (hit,), nearest = answers[0].hits, answers[1].nearest
    assert (hit.rank, hit.match, hit.record.number) == (1, True, 11)
    assert hit.similarity == pytest.approx(1, abs=1e-6)
    assert not answers[1].hits
    assert nearest.similarity == pytest.approx((gallery.embeddings @ queries[1]).max(), abs=1e-6)
    assert len(answer(gallery, queries, asking, top=3, below=True)[1].hits) == 3

    table = as_table(answers)
    assert "a.avi, track 3" in table
    assert "\\x1b[31m\\nred\\u202e" in table
    assert re.search(rf"b +{nearest.similarity:.4f} +no match", table)
    found = json.loads(as_json(answers, {"model": "m"}))
    assert found["answers"][0]["found"][0]["identity"] == EVIL
    assert (found["answers"][0]["query"]["ends"], found["answers"][1]["found"]) == (59.96, [])
    lines = list(csv.DictReader(io.StringIO(as_csv(answers))))
    assert [(line["query_source"], line["rank"], line["identity"]) for line in lines] == [
        ("a.avi", "1", EVIL),
        ("b", "", ""),
    ]
    nearest_of = [float(line["nearest_similarity"]) for line in lines]
    assert nearest_of == [one["nearest_similarity"] for one in found["answers"]]

    page = search_page(gallery, answers, 11, ["camera <b>"])
    assert "<script" not in page
    assert "\x1b" not in page
    assert "camera &lt;b&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\nred" in page
    for shown in ("data:image/jpeg;base64,anBlZw==", "0:01.0-1:00.0", "gate 4", "0.9000", f"{nearest.similarity:.4f}"):
        assert shown in page
    assert page.count("No match") == 1
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    create(gallery.folder.parent / "bare", EMPTY)
    assert "threshold" in search_page(Gallery(gallery.folder.parent / "bare"), [], 0)


@needs_browser
@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_fits_the_window(gallery, tmp_path, width):
    picture = cv2.imencode(".jpg", np.zeros((128, 256, 3), np.uint8))[1].tobytes()
    asking = Record("", "a" * 300, camera="b" * 300, strip=picture)
    answers = answer(gallery, unit_rows(1, 5), [asking], below=True)
    hits = [hit._replace(record=hit.record._replace(strip=picture)) for hit in answers[0].hits]
    wide, window, narrowest, _ = measured(search_page(gallery, [answers[0]._replace(hits=hits)], 11), tmp_path, width)
    assert wide <= window
    assert narrowest > 100


def test_the_best_matching_is_that_of_all_permutations_and_strangers_get_none(gallery):
    # Both like row 3 best, and the first has somebody else.
    rows = gallery.embeddings
    both = np.stack([rows[3] + 0.9 * rows[5], rows[3] + 0.1 * rows[7], unit_rows(1, 99)[0]])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    free = replace(gallery.manifest, calibration=None)
    asking = [Record()] * 3
    assert [found.nearest.record.number for found in answer(gallery, both, asking)][:2] == [4, 4]
    gallery.manifest = free
    among = np.array([3, 5, 7])
    numbers = [found.hits[0].record.number for found in answer(gallery, both, asking, assign=True, among=among)]
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    sums = [sum((both @ rows[among].T)[range(3), order]) for order in orders]
    assert numbers == (among[orders[int(np.argmax(sums))]] + 1).tolist()
    assert [len(found.hits) for found in answer(gallery, both, asking, assign=True, among=among[:1])].count(1) == 1
    gallery.manifest = replace(free, calibration=replace(CALIBRATION, threshold=0.6))
    found = answer(gallery, both, asking, assign=True)
    assert [[hit.record.number for hit in one.hits] for one in found][1:] == [[4], []]
    # Another query has what is most similar to it.
    assert "assigned to it has a similarity of" in search_page(gallery, found, 4, ["one-to-one"])
