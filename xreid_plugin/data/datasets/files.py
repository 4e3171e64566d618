"""A dataset's files on disk: where a copy lies, the lines of its lists, and the paths of a tracklet's frames."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, overload

# No file system allows it in a name, so it can stand between names.
_SEPARATOR = "\0"
_LONGEST_QUOTE = 120
_MOST_DIGITS = 18  # what fits a 64-bit integer


class MetadataError(ValueError):
    """A list of the dataset says something that cannot be right; the message gives file, line, text and remedy."""

    @classmethod
    def at(cls, file: Path, number: int, text: str, expected: str) -> Self:
        """Builds the error for one line.

        Args:
            file: the list.
            number: 1-based line number.
            text: the line.
            expected: what is wrong with it and what should be there.
        """
        return cls(f"{file}, line {number}: {_cut(text)!r}: {expected}")


def shown(text: str) -> str:
    """Text of a file as a message shows it: cut where it is long, and without control characters."""
    return repr(_cut(text))[1:-1]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


@dataclass(frozen=True, slots=True)
class FramePaths(Sequence[str]):
    """The paths of one tracklet's frames, kept in two strings while the lists are read.

    The datasets hold up to two million frames, which would fill hundreds of megabytes as lists of strings. The paths of
    a tracklet differ only near the end, so the common beginning is stored once and the endings side by side. A parsed
    dataset has all of them in one :class:`~xreid_plugin.data.path_table.PathTable`.

    Attributes:
        prefix: what all paths begin with.
        endings: the rest of each path, in temporal order, joined by NUL.
    """

    prefix: str
    endings: str

    @classmethod
    def below(cls, folder: Path, relative: Sequence[str]) -> Self:
        """Packs ``folder/relative[i]`` for every i; ``relative`` holds at least one path, written with slashes."""
        common = os.path.commonprefix(relative)  # noqa: RUF071  (characters, not folders, are meant)
        return cls(f"{folder}{os.sep}{common}", _SEPARATOR.join(path[len(common) :] for path in relative))

    def __len__(self) -> int:
        return self.endings.count(_SEPARATOR) + 1

    def __iter__(self) -> Iterator[str]:
        return (self.prefix + ending for ending in self.endings.split(_SEPARATOR))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        endings = self.endings.split(_SEPARATOR)
        if isinstance(index, slice):
            return [self.prefix + ending for ending in endings[index]]
        return self.prefix + endings[index]


class Enclosure:
    """Checks that what metadata names stays below a folder once links are followed; each folder is checked once.

    The folder itself may be a link: the owner of the copy has put it there, not a list.
    """

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: the folder that everything must stay below.
        """
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._known: dict[str, bool] = {"": True}

    def holds(self, relative: str) -> bool:
        """Whether ``relative``, written with slashes and without "..", stays below the folder, or is not there."""
        if relative not in self._known:
            parent = relative.rpartition("/")[0]
            self._known[relative] = self.holds(parent) and self._stays(self._folder / relative)
        return self._known[relative]

    def _stays(self, path: Path) -> bool:
        try:
            if not path.is_symlink():
                return True
        except OSError:
            # A name that no file can have is not there.
            return True
        return f"{os.path.realpath(path)}{os.sep}".startswith(f"{self._real}{os.sep}")


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
    try:
        base = Path(root).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"DATASETS.ROOT is {str(root)!r}: {error}; write the folder out instead.") from error
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


def read_lines(file: Path) -> list[str]:
    """Reads a list: its lines, without surrounding blanks and without blank lines at the end.

    Raises:
        FileNotFoundError: there is no such file.
        MetadataError: it is empty, holds a blank line between others (numbers that count lines would shift), or is
            not text.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: this copy of the dataset is incomplete; copy the file again.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MetadataError(f"{file}: expected plain text ({error}); copy the file again.") from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not lines:
        raise MetadataError(f"{file}: the file is empty; expected one entry a line. Copy the file again.")
    if "" in lines:
        raise MetadataError.at(file, lines.index("") + 1, "", "a blank line; entries are counted by line, so remove it")
    return lines


def natural_number(text: str) -> int | None:
    """The number that ``text`` writes in up to 18 plain digits, else None; ``int`` alone takes '+1', '1_0', '²' too."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
