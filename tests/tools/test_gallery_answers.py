import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.gallery.galleries import EMPTY, batch, unit_rows
from xreid_plugin.gallery.answers import answer
from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery, add, create

EVIL = "<script>alert(1)</script>\x1b[31m\nred\u202e"
CALIBRATION = Calibration(0.9, 0.01, 0.01, 0.8, 100, 10)


@pytest.fixture
def shown(load_tool):
    return load_tool("_gallery_answers")


@pytest.fixture
def gallery(tmp_path):
    """Of ten strangers and one of whom nothing good is said, with a threshold of 0.9."""
    create(tmp_path / "gallery", replace(EMPTY, model="m" * 64, calibration=CALIBRATION))
    evil = Record(EVIL, EVIL, camera=EVIL, strip=b"jpeg")
    add(tmp_path / "gallery", [batch(10), (unit_rows(1, 5), [evil])])
    return Gallery(tmp_path / "gallery")


def test_all_outputs_say_the_same_and_escape_what_is_not_theirs(shown, gallery):
    queries = np.concatenate([unit_rows(1, 5), unit_rows(1, 77)])
    asking = [Record("", "a.avi", "3", "gate 4", "infrared", None, 1.0, 59.96), Record("", "b")]
    answers = answer(gallery, queries, asking, top=3)
    (hit,), nearest = answers[0].hits, answers[1].nearest
    assert (hit.rank, hit.match, hit.record.number) == (1, True, 11)
    assert hit.similarity == pytest.approx(1, abs=1e-6)
    assert not answers[1].hits
    assert nearest.similarity == pytest.approx((gallery.embeddings @ queries[1]).max(), abs=1e-6)
    assert len(answer(gallery, queries, asking, top=3, below=True)[1].hits) == 3

    table = shown.as_table(answers)
    assert "a.avi, track 3" in table
    assert "\\x1b[31m\\nred\\u202e" in table
    assert re.search(rf"b +{nearest.similarity:.4f} +no match", table)
    found = json.loads(shown.as_json(answers, {"model": "m"}))
    assert found["answers"][0]["found"][0]["identity"] == EVIL
    assert (found["answers"][0]["query"]["ends"], found["answers"][1]["found"]) == (59.96, [])
    lines = list(csv.DictReader(io.StringIO(shown.as_csv(answers))))
    ranked = [(line["query_source"], line["rank"], line["identity"]) for line in lines]
    assert ranked == [("a.avi", "1", EVIL), ("b", "", "")]
    nearest_of = [float(line["nearest_similarity"]) for line in lines]
    assert nearest_of == [one["nearest_similarity"] for one in found["answers"]]

    page = shown.search_page(gallery, answers, 11, ["camera <b>"])
    assert "<script" not in page
    assert "\x1b" not in page
    assert "camera &lt;b&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\nred" in page
    for text in ("data:image/jpeg;base64,anBlZw==", "0:01.0-1:00.0", "gate 4", "0.9000", f"{nearest.similarity:.4f}"):
        assert text in page
    assert page.count("No match") == 1
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    create(gallery.folder.parent / "bare", EMPTY)
    assert "threshold" in shown.search_page(Gallery(gallery.folder.parent / "bare"), [], 0)
