import itertools
import re

import pytest

from tests.visualization.html_page import HtmlPage
from xreid_plugin.evaluation.results import Results
from xreid_plugin.visualization.page import page_text
from xreid_plugin.visualization.run_folder import Evaluation

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>\"'><img src=https://evil.example onerror=x>{{ 7*7 }}&amp;\u202e人"


@pytest.fixture(scope="module")
def page(small_content):
    return HtmlPage(page_text(small_content))


def spoilt(value):
    """The same content with every text, at any depth, ended by the hostile one."""
    if isinstance(value, str):
        return value if value.startswith("data:") else value + HOSTILE
    if isinstance(value, tuple | list):
        return type(value)(map(spoilt, value))
    if isinstance(value, dict):
        return {key: spoilt(part) for key, part in value.items()}
    return value


def test_a_whole_run_leaves_nothing_out(small_content):
    assert small_content["missing"] == []
    assert len(small_content["attention"]) == 2
    assert [len(direction["lists"]) for direction in small_content["ranks"]] == [2, 2]


def test_the_page_is_well_formed_and_made_for_all(page):
    assert page.faults == []
    assert [attributes["lang"] for attributes in page.all("html")] == ["en"]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("img")) > 20
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(header.get("scope") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) >= 3
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert {link["href"].removeprefix("#") for link in page.all("a")} | set(named) <= set(ids)
    assert "MODEL.<wbr>" in page.source


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"https?:|@import|url\(", page.source)
    assert page.all("script") == []
    sources = [attributes.get("src") or attributes.get("srcset") for _, attributes in page.elements]
    assert all(source.startswith("data:image/") for source in sources if source)


def test_hostile_texts_stay_texts(small_content, page):
    protocol = {HOSTILE: HOSTILE, "a": [HOSTILE], "dataset": HOSTILE}
    results = Results({f"{HOSTILE}/mAP": 1.0}, protocol, {}, {"checkpoint": HOSTILE, "time": HOSTILE})
    odd = Evaluation("epoch 1" + HOSTILE, 1, HOSTILE, results)
    content = {name: spoilt(part) for name, part in small_content.items() if name not in ("tables", "ends")}
    content |= {"missing": [HOSTILE], "tables": [(HOSTILE, [odd])], "ends": {HOSTILE: (odd, odd)}}
    hostile = HtmlPage(page_text(content))
    assert hostile.faults == []
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in page.elements} | {"li"}
    assert len(hostile.all("img")) == len(page.all("img"))
    assert not any(name.startswith("on") for _, attributes in hostile.elements for name in attributes)
    assert "https://evil.example" in hostile.text
    assert "{{ 7*7 }}" in hostile.all("img")[-1]["alt"]
