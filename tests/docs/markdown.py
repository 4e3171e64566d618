"""What a page of the documentation holds: blocks of code, code within text, links and anchors."""

import re
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]


def pages():
    """All pages, as paths from the root of the checkout."""
    found = [page for place in ("*.md", "docs/*.md", "projects/*/*.md") for page in CHECKOUT.glob(place)]
    return sorted(page.relative_to(CHECKOUT).as_posix() for page in found if page.name != "CHANGELOG.md")


class Block(NamedTuple):
    """A fenced block; the line is that of its first line of code, from 1."""

    line: int
    language: str
    text: str


class Span(NamedTuple):
    """Code within a paragraph or a table."""

    line: int
    text: str


def blocks(text):
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found.append(Block(text.count("\n", 0, match.start(2)) + 1, match[1], match[2]))
    return found


def prose(text):
    """The page with its blocks blanked, so that lines keep their numbers."""
    return re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)


def spans(text):
    plain = prose(text)
    # A span may go on in the next line, but not in the next paragraph.
    return [
        Span(plain.count("\n", 0, m.start()) + 1, " ".join(m[1].split()))
        for m in re.finditer(r"`((?:[^`\n]|\n(?!\n))+)`", plain)
    ]


def links(text):
    """(line, target) of every link and picture."""
    plain = re.sub(r"`[^`]*`", lambda m: re.sub(r"[^\n]", "x", m[0]), prose(text))
    return [(plain.count("\n", 0, m.start()) + 1, m[1]) for m in re.finditer(r"\]\(([^)\s]+)\)", plain)]


def anchors(text):
    """The names that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_commands(block):
    """(line, command) of a block: lines that end in a backslash are joined."""
    found, begun, start = [], "", 0
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        start = start if begun else number
        if line.endswith("\\"):
            begun += line[:-1]
            continue
        command = (begun + line).strip()
        begun = ""
        if command and not command.startswith("#"):
            found.append((start, command))
    return found
