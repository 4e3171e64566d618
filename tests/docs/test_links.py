import pytest

from tests.docs.markdown import CHECKOUT, anchors, links, pages


def broken_links(page, text):
    """Of a page's links within the repository: those that lead nowhere."""
    found = []
    for line, target in links(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            found.append(f"line {line}: there is no {target}")
        elif not file.is_relative_to(CHECKOUT):
            found.append(f"line {line}: {target} leads out of the repository")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if name else text):
            found.append(f"line {line}: {target}: no such heading")
    return found


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    file = CHECKOUT / page
    assert broken_links(file, file.read_text(encoding="utf-8")) == []


def test_every_page_is_in_the_index():
    index = CHECKOUT / "docs" / "README.md"
    linked = {target for _, target in links(index.read_text(encoding="utf-8"))}
    assert {page.name for page in (CHECKOUT / "docs").glob("*.md")} - {"README.md"} <= linked


def test_a_broken_link_is_found():
    text = (
        "# A heading, with marks\n\n"
        "[right](docs/README.md), [right](#a-heading-with-marks), [elsewhere](https://example.org/none)\n"
        "[no file](docs/none.md)\n[no heading](#none) and `[code](none.md)`\n[out](../../none)\n"
        "```text\n[in a block](none.md)\n```\n"
    )
    found = broken_links(CHECKOUT / "README.md", text)
    assert found == [
        "line 4: there is no docs/none.md",
        "line 5: #none: no such heading",
        "line 6: there is no ../../none",
    ]


def test_no_page_names_a_folder_of_somebodys_machine():
    for page in pages():
        text = (CHECKOUT / page).read_text(encoding="utf-8")
        assert str(CHECKOUT) not in text
        assert "/home/" not in text
