"""The halves of tracklets, which temporal re-ranking compares in addition to whole tracklets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from xreid_plugin.data.tracklet import Tracklet


def with_halves(tracklets: Sequence[Tracklet]) -> list[Tracklet]:
    """The n tracklets, then the first half of each, then the second: entry i of each third belongs to tracklet i.

    Of L frames the first half has floor(L / 2), as with BUPTCampus's authors; a single frame is both halves.
    """
    parts = [
        [_part(tracklet, 0, max(1, len(tracklet.paths) // 2), "first half") for tracklet in tracklets],
        [_part(tracklet, len(tracklet.paths) // 2, len(tracklet.paths), "second half") for tracklet in tracklets],
    ]
    return [*tracklets, *parts[0], *parts[1]]


def _part(tracklet: Tracklet, start: int, stop: int, which: str) -> Tracklet:
    return tracklet._replace(paths=_Part(tracklet.paths, start, stop), name=f"{tracklet.name}, {which}")


@dataclass(frozen=True, slots=True)
class _Part(Sequence[str]):
    """Some of a tracklet's paths, taken from it on demand: a list would need far more memory."""

    whole: Sequence[str]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        position = range(self.start, self.stop)[index]
        return self.whole[position] if isinstance(position, int) else [self.whole[i] for i in position]
