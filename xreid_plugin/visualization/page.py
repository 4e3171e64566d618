"""The page about a run: one HTML file that needs nothing else, no network and no script."""

import re
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xreid_plugin.files import replace_atomically
from xreid_plugin.visualization.page_content import PageContent
from xreid_plugin.visualization.rank_strips import RIGHT_MARK, WRONG_MARK
from xreid_plugin.visualization.theme import DARK, LIGHT


def page_text(content: PageContent) -> str:
    """The page as HTML; all text that does not come from the template is escaped."""
    environment = Environment(
        loader=PackageLoader("xreid_plugin.visualization"),
        # Names of tracklets, files and datasets may hold anything.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    colours = {"light": asdict(LIGHT), "dark": asdict(DARK)}
    marks = {"right": RIGHT_MARK, "wrong": WRONG_MARK}
    return environment.get_template("report.html").render(page=content, marks=marks, **colours)


def breakable(key: str) -> Markup:
    """A dotted key, escaped, that may wrap after a dot or an underscore."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(key))))


def write_page(content: PageContent, path: Path) -> None:
    """Writes the page, whole or not at all."""
    text = page_text(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
