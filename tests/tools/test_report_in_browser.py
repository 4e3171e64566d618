"""The page in a real browser; skipped where there is none."""

import json
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<script>addEventListener("load", () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const pictures = [...document.images].map(image => image.naturalWidth && image.clientWidth);
  const back = getComputedStyle(document.body).backgroundColor;
  document.querySelector("title").textContent = JSON.stringify([scrollWidth, clientWidth, Math.min(...pictures), back]);
})</script></body>"""


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no browser is installed")


@needs_browser
@pytest.mark.parametrize(("width", "scheme", "back"), [(500, 1, "rgb(243, 245, 247)"), (1280, 0, "rgb(15, 18, 22)")])
def test_the_page_fits_the_window_and_shows_all_pictures(report_page, small_content, tmp_path, width, scheme, back):
    wide, window, narrowest, shown = measured(report_page.page_text(small_content), tmp_path, width, scheme)
    # Nothing is wider than the window, but for what scrolls by itself.
    assert wide <= window
    assert narrowest > 0
    assert shown == back


def measured(page, tmp_path, width, scheme=1):
    """The width of a page's content, of the window and of the narrowest picture, and the background's colour."""
    file = tmp_path / "page.html"
    # The page itself allows no script.
    text = re.sub(r"<meta http-equiv.*?>", "", page).replace("</body>", MEASURE)
    file.write_text(text, encoding="utf-8")
    flags = f"--headless --no-sandbox --disable-gpu --window-size={width},900 --user-data-dir={tmp_path}/profile"
    theme = f"--blink-settings=preferredColorScheme={scheme}"
    command = [str(BROWSER), *flags.split(), theme, "--dump-dom", file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return json.loads(re.search("<title>(.*)</title>", dom)[1])
