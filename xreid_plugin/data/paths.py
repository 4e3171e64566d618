"""The paths of a dataset's frames: where they may lead, and how half a million of them stay small.

As strings, the paths of half a million frames fill tens of megabytes, and every forked worker comes to own a copy of
them, since counting references writes to each string. The rows of one array are shared instead.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import Tracklet


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


class FramePaths(Sequence[str]):
    """The paths of one tracklet: a read-only view of some rows of an array, equal to the list of the same paths.

    Pickled together, views of one array carry it once.
    """

    __slots__ = ("_first", "_names", "_prefix", "_stop")

    def __init__(self, prefix: str, names: NDArray[np.bytes_], first: int = 0, stop: int | None = None) -> None:
        """
        Args:
            prefix: what all paths begin with.
            names: (N,) bytes of equal width, the rest of each path.
            first: the tracklet's first row.
            stop: the row after its last; None for the end of the array.
        """
        self._prefix = prefix
        self._names = names
        self._first = first
        self._stop = len(names) if stop is None else stop

    @classmethod
    def of(cls, folder: str | Path, names: Iterable[str]) -> "FramePaths":
        """Paths in an array of their own; ``names``, at least one, are relative to the folder."""
        known = list(names)
        common = os.path.commonprefix(known)  # noqa: RUF071  (characters, not folders, are meant)
        below = common[: common.rfind("/") + 1]
        return cls((f"{folder}/" if folder else "") + below, np.array([os.fsencode(n[len(below) :]) for n in known]))

    def __len__(self) -> int:
        return self._stop - self._first

    def __iter__(self) -> Iterator[str]:
        return (self._path(row) for row in range(self._first, self._stop))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        rows = range(self._first, self._stop)[index]
        return [self._path(row) for row in rows] if isinstance(rows, range) else self._path(rows)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, list | tuple | FramePaths) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list, to which it may be equal

    def __repr__(self) -> str:
        return repr(list(self))

    def _path(self, row: int) -> str:
        return self._prefix + os.fsdecode(self._names[row])


def share_paths(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """The same tracklets, the paths of all in one array."""
    # One by one, so that the strings of a tracklet are gone before those of the next are made.
    kept = [t if isinstance(t.paths, FramePaths) else t._replace(paths=FramePaths.of("", t.paths)) for t in tracklets]
    paths = [tracklet.paths for tracklet in kept if isinstance(tracklet.paths, FramePaths)]
    if not paths:
        return []
    names = np.concatenate([part._names[part._first : part._stop] for part in paths])
    stops = np.cumsum([len(part) for part in paths]).tolist()
    return [
        tracklet._replace(paths=FramePaths(part._prefix, names, stop - len(part), stop))
        for tracklet, part, stop in zip(kept, paths, stops, strict=True)
    ]
