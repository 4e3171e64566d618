"""The page in a real browser; skipped where there is none."""

import pytest

from tests.visualization.browser import Browser, chromium_or_skip
from xreid_plugin.visualization.page import write_page

SIZES = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
# Of every text that is seen, the ratio to the nearest colour behind it (WCAG 2.2), and what is asked of its size.
LOW_CONTRAST = """(() => {
  const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const found = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    let behind = element;
    const back = () => rgba(getComputedStyle(behind).backgroundColor);
    while (back()[3] === 0 && behind.parentElement) behind = behind.parentElement;
    const style = getComputedStyle(element);
    const pair = [rgba(style.color), back()].map(luminance).sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    seen += 1;
    if (ratio < (large ? 3 : 4.5)) found.push([walker.currentNode.data.trim(), ratio, style.color]);
  }
  return [seen, found];
})()"""
IMAGES = """Promise.all([...document.images].map(async image => {
  await image.decode();
  return [image.naturalWidth, image.clientWidth, image.currentSrc];
}))"""
FOCUSED = """(() => {
  const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
  return {
    tag: element.tagName, text: element.textContent.trim(), href: element.getAttribute("href"),
    outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
})()"""


@pytest.fixture(scope="module")
def browser():
    with Browser(chromium_or_skip()) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(small_content, tmp_path_factory):
    chromium_or_skip()
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(small_content, file)
    return file


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_is_shown(browser, page, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    images = browser.run(IMAGES)
    assert len(images) > 20
    assert all(natural > 0 and shown > 0 for natural, shown, _ in images)
    # Nothing is wider than the window, but for what scrolls by itself.
    assert browser.run("document.documentElement.scrollWidth") <= width
    methods = {event["method"] for event in browser.events}
    assert not methods & {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
    requests = [event["params"]["request"]["url"] for event in browser.events if "requestWillBeSent" in event["method"]]
    assert [url for url in requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    seen, low = browser.run(LOW_CONTRAST)
    assert seen > 50
    assert low == []


def test_the_dark_page_has_dark_pictures(browser, page):
    sources = {}
    for scheme in ("light", "dark"):
        browser.open(page, scheme=scheme)
        sources[scheme] = browser.run("[...document.querySelectorAll('picture img')].map(i => i.currentSrc)")
    assert len(sources["light"]) == len(sources["dark"]) > 5
    assert not set(sources["light"]) & set(sources["dark"])


def test_paper_is_light(browser, page):
    browser.open(page, scheme="dark", media="print")
    red, green, blue = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert min(red, green, blue) == 255
    assert browser.run(LOW_CONTRAST)[1] == []
    assert not browser.run("document.querySelector('nav').checkVisibility()")


def test_all_can_be_done_with_the_keyboard(browser, page):
    browser.open(page)
    browser.press("Tab")
    first = browser.run(FOCUSED)
    assert (first["href"], first["inside"]) == ("#content", True)
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "content"
    browser.open(page)
    stops = []
    for _ in range(200):
        browser.press("Tab")
        stop = browser.run(FOCUSED)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
        if stop["tag"] == "SUMMARY":
            browser.press("Enter")
    assert all(stop["outline"] for stop in stops)
    links = browser.run("document.links.length")
    assert [stop["tag"] for stop in stops].count("A") == links
    assert [stop["tag"] for stop in stops].count("SUMMARY") == browser.run(
        "document.querySelectorAll('summary').length"
    )
    assert browser.run("[...document.querySelectorAll('details')].every(d => d.open)")
    assert browser.run(LOW_CONTRAST)[1] == []
