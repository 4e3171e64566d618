"""A dataset's lists on disk: where a copy lies, the lines of its lists, and what is wrong with one."""

import os
from collections.abc import Sequence
from pathlib import Path

from xreid_plugin.data.tracklet import Modality

_LONGEST_QUOTE = 120

# Who is seen, and by what: identity, modality and camera.
Source = tuple[int, Modality, int]


def line_error(file: Path, number: int, text: str, expected: str) -> ValueError:
    """The error for one line of a list.

    Args:
        file: the list.
        number: 1-based line number.
        text: the line.
        expected: what is wrong with it and what should be there.
    """
    quoted = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
    return ValueError(f"{file}, line {number}: {quoted!r}: {expected}")


def find_root(root: str | Path, folder: str, markers: Sequence[str], origin: str) -> Path:
    """Finds a copy of a dataset: ``root`` itself, or the folder of that name inside it.

    Args:
        root: the dataset's own folder, or the one that holds it (the host's convention).
        folder: the dataset's folder name below ``root``.
        markers: files relative to the dataset's folder; a folder that has one of them is the dataset's.
        origin: where to get the dataset, for the message.

    Returns:
        The dataset's own folder.

    Raises:
        FileNotFoundError: neither folder holds a marker; the message says what was looked for, where, and what to do.
    """
    base = Path(root).expanduser()
    candidates = (base, base / folder)
    for candidate in candidates:
        if any((candidate / marker).is_file() for marker in markers):
            return candidate
    raise FileNotFoundError(
        f"{folder} was not found: looked for {' or '.join(markers)} in {' and in '.join(map(str, candidates))} "
        f"(working folder {Path.cwd()}). {origin} Then name its folder, or the folder that holds {folder}, in the "
        "config key DATASETS.ROOT or in the environment variable FASTREID_DATASETS. "
        "To try the code without it, `make demo` runs on synthetic data."
    )


def resolve_below(root: Path, relative: str) -> Path:
    """The place of a folder that a list names, which must lie below the dataset's folder of frames.

    Args:
        root: the folder of frames; it may be a link, the owner's own choice.
        relative: what the list names below it; it need not exist.

    Returns:
        ``root / relative`` without links and without "..".

    Raises:
        ValueError: it leads out of ``root``.
    """
    place = Path(os.path.realpath(root / relative))
    if not place.is_relative_to(os.path.realpath(root)):
        raise ValueError(f"{root / relative} leads to {place}, out of {root}: put the frames themselves there")
    return place


def read_lines(file: Path) -> list[str]:
    """Reads a list: its lines, without surrounding blanks and without blank lines at the end.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, is not text, or holds a blank line between others, which shifts numbers that count
            lines.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: this copy of the dataset is incomplete; copy the file again.")
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    if not lines:
        raise ValueError(f"{file}: the file is empty; expected one entry a line. Copy the file again.")
    if "" in lines:
        raise line_error(file, lines.index("") + 1, "", "a blank line; entries are counted by line, so remove it")
    return lines
