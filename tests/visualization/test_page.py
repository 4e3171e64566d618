import dataclasses
import itertools
import re

import pytest

from tests.visualization.html_page import HtmlPage
from xreid_plugin.visualization.page import breakable, page_text, write_page
from xreid_plugin.visualization.page_content import PageContent

HOSTILE = "<script>alert(1)</script>\"'><img src=https://evil.example onerror=x>{{ 7*7 }}&amp;\u202e人"


@pytest.fixture(scope="module")
def content(small_content):
    return small_content


@pytest.fixture(scope="module")
def page(content):
    return HtmlPage(page_text(content))


def spoilt(value):
    """The same content with every text, at any depth, ended by the hostile one."""
    if isinstance(value, str):
        return value if value.startswith("data:") else value + HOSTILE
    if isinstance(value, tuple | list):
        return type(value)(map(spoilt, value))
    if dataclasses.is_dataclass(value):
        fields = {field.name: spoilt(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


def test_a_whole_run_leaves_nothing_out(content):
    assert content.missing == []
    assert len(content.attention) == 2
    assert [len(direction.lists) for direction in content.ranks] == [2, 2]


def test_the_page_is_well_formed(page, content):
    assert page.faults == []
    assert page_text(content).startswith("<!DOCTYPE html>")
    assert [attributes["lang"] for attributes in page.all("html")] == ["en"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_the_page_is_made_for_all(page):
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    images = page.all("img")
    assert len(images) > 20
    assert all(len(image["alt"]) > 10 for image in images)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(header.get("scope") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) >= 3
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [link["href"] for link in page.all("a")]
    assert links[0] == "#content"
    assert {link.removeprefix("#") for link in links} <= ids
    named = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(named) <= ids


def test_the_page_needs_nothing_else(page, content):
    text = page_text(content)
    assert not re.search(r"https?:|@import|url\(", text)
    assert page.all("script") == []
    sources = [attributes.get("src") or attributes.get("srcset") for _, attributes in page.elements]
    assert all(source.startswith("data:image/") for source in sources if source)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_hostile_texts_stay_texts(content, page):
    hostile = HtmlPage(page_text(spoilt(content)))
    assert hostile.faults == []
    # A longer key has more places where a line may end.
    plain, spoilt_tags = ([tag for tag, _ in found.elements if tag != "wbr"] for found in (page, hostile))
    assert spoilt_tags == plain
    assert not any(name.startswith("on") for _, attributes in hostile.elements for name in attributes)
    assert "https://evil.example" in hostile.text
    assert "49" not in hostile.all("img")[-1]["alt"].rpartition("{{")[2]


def test_what_is_not_there_leaves_a_reason(content):
    fields = {field.name: [] for field in dataclasses.fields(PageContent)}
    bare = PageContent(**{**fields, "title": "t", "subtitle": "s", "configuration": "", "missing": ["Attention: gone"]})
    page = HtmlPage(page_text(bare))
    assert page.faults == []
    assert "Attention: gone" in page.text
    assert {link["href"] for link in page.all("a")} == {"#content", "#missing"}


def test_the_page_is_the_same_for_the_same_content(content, tmp_path):
    write_page(content, tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == page_text(content)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_long_keys_may_break():
    assert breakable("A.B_C<") == "A.<wbr>B_<wbr>C&lt;"
