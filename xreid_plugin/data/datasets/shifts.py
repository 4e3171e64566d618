"""Signs that a line was lost from a list, or doubled, further up than where two lists no longer fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xreid_plugin.data.datasets.files import natural_number
from xreid_plugin.words import counted


@dataclass
class Trail:
    """What a list of tracklets, read line by line, shows about the list of names whose lines it counts.

    Attributes:
        tracks: the list of tracklets.
        lines: its lines; the second and third field are the first and last line of the names, from 1.
        names: the list of names.
        num_names: number of its lines.
    """

    tracks: Path
    lines: Sequence[str]
    names: Path
    num_names: int
    _ends_at: int = 0
    _gap: str = ""
    _read: int = 0
    _misfits: list[tuple[int, int]] = field(default_factory=list)

    def follow(self, number: int, span: slice, misfit: int | None) -> None:
        """Records a tracklet.

        Args:
            number: its line, from 1.
            span: its lines in the list of names, from 0.
            misfit: the first of those that does not fit the tracklet's own line, from 0; None where all do.
        """
        if not self._gap and span.start != self._ends_at:
            self._gap = (
                f"line {number} of {self.tracks.name} begins at {span.start + 1}, and the line before it ends at "
                f"{self._ends_at}"
            )
        self._ends_at = span.stop
        self._read = number
        if misfit is not None:
            self._misfits.append((number, misfit + 1))

    def hint(self) -> str:
        """Where to look for the line that is missing or doubled, and the remedy."""
        signs = [sign for sign in (self._lengths(), self._gap, self._shift()) if sign]
        where = "; ".join(signs) or f"in {self.tracks.name} or {self.names.name}"
        return f"a line may be missing or doubled further up: {where}. Copy both files again"

    @property
    def misfits(self) -> int:
        """Tracklets with a name that does not fit their line."""
        return len(self._misfits)

    def _lengths(self) -> str:
        fields = self.lines[-1].split()
        end = natural_number(fields[2]) if len(fields) == 5 else None
        if end is None or end == self.num_names:
            return ""
        surplus = self.num_names - end
        return (
            f"{self.names.name} has {self.num_names} lines, {counted(abs(surplus), 'line')} too "
            f"{'many' if surplus > 0 else 'few'} for {self.tracks.name}, which ends at {end}"
        )

    def _shift(self) -> str:
        if not self._misfits:
            return ""
        track, name = self._misfits[0]
        return (
            f"line {name} of {self.names.name} is the first that does not fit its tracklet, line {track} of "
            f"{self.tracks.name}, and {self.misfits:,} of "
            f"{counted(self._read, 'tracklet')} up to here {'has' if self.misfits == 1 else 'have'} such lines"
        )
