"""The paths of all frames of a dataset in a few arrays, which worker processes share instead of copying.

As strings, the paths of half a million frames fill tens of megabytes, and every forked worker comes to own a copy of
them, since counting references writes to each string. Of arrays, only the few headers are written to.
"""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from xreid_plugin.data.tracklet import Tracklet

# Python's own strings may hold halves of surrogate pairs, which a list in JSON can write; they come back as they were.
_ENCODING = ("utf-8", "surrogatepass")


class StringTable:
    """Strings side by side in one buffer.

    Attributes:
        buffer: uint8, all strings in UTF-8.
        bounds: (N + 1,) uint32 or uint64; string i is ``buffer[bounds[i] : bounds[i + 1]]``.
    """

    __slots__ = ("bounds", "buffer")

    def __init__(self, strings: Iterable[str]) -> None:
        buffer, bounds = bytearray(), array("Q", [0])
        for string in strings:
            buffer += string.encode(*_ENCODING)
            bounds.append(len(buffer))
        self.buffer = np.frombuffer(bytes(buffer), np.uint8)
        self.bounds = np.array(bounds, np.uint32 if len(buffer) < 1 << 32 else np.uint64)
        self.bounds.setflags(write=False)

    def __getitem__(self, index: int) -> str:
        return self.buffer[self.bounds[index] : self.bounds[index + 1]].tobytes().decode(*_ENCODING)


class PathTable:
    """The paths of all frames of many tracklets.

    The paths of one tracklet differ only near their ends: what they begin with is stored once a tracklet, and what all
    tracklets begin with once.
    """

    __slots__ = ("_endings", "_first", "_prefix", "_stems")

    def __init__(self, paths: Iterable[Sequence[str]]) -> None:
        """
        Args:
            paths: each tracklet's paths, in temporal order; read once.
        """
        stems: list[str] = []
        lengths: list[int] = []

        def endings() -> Iterator[str]:
            for sequence in paths:
                full = list(sequence)
                stem = os.path.commonprefix(full)  # noqa: RUF071  (characters, not folders, are meant)
                stems.append(stem)
                lengths.append(len(full))
                yield from (path[len(stem) :] for path in full)

        self._endings = StringTable(endings())
        self._prefix = os.path.commonprefix(stems)  # noqa: RUF071
        self._stems = StringTable(stem[len(self._prefix) :] for stem in stems)
        self._first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def frames(self, tracklet: int) -> int:
        """Number of frames of one tracklet."""
        return int(self._first[tracklet + 1] - self._first[tracklet])

    def paths(self, tracklet: int, frames: Iterable[int]) -> list[str]:
        """The paths of some frames, each 0..L-1, of one tracklet."""
        stem = self._prefix + self._stems[tracklet]
        first = int(self._first[tracklet])
        return [stem + self._endings[first + frame] for frame in frames]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        parts = (self._endings, self._stems)
        return self._first.nbytes + sum(part.buffer.nbytes + part.bounds.nbytes for part in parts)


class TrackletPaths(Sequence[str]):
    """The paths of one tracklet: a read-only view into a :class:`PathTable`, equal to the list of the same paths.

    Pickled together, views of one table carry it once.
    """

    __slots__ = ("_table", "_tracklet")

    def __init__(self, table: PathTable, tracklet: int) -> None:
        self._table = table
        self._tracklet = tracklet

    def __len__(self) -> int:
        return self._table.frames(self._tracklet)

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return self._table.paths(self._tracklet, chosen)
        return self._table.paths(self._tracklet, (chosen,))[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple, TrackletPaths)):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list, to which it may be equal

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def share_paths(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """The same tracklets with their paths in one :class:`PathTable`; takes them one by one."""
    shared: list[Tracklet] = []

    def paths() -> Iterator[Sequence[str]]:
        for tracklet in tracklets:
            shared.append(tracklet._replace(paths=()))
            yield tracklet.paths

    table = PathTable(paths())
    return [tracklet._replace(paths=TrackletPaths(table, number)) for number, tracklet in enumerate(shared)]
