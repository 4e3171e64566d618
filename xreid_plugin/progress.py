"""How far long work has got: a bar on a terminal; in a log, or wherever else nobody watches, a line now and then."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from tqdm import tqdm

Tell = Callable[[str], object]

_FIRST_LINE = 5.0
_NEXT_LINE = 60.0
# With less than this to go, the end says it soon enough.
_SOON = 5.0


class ProgressBar:
    """Counts pieces of work within a ``with`` block.

    Where standard error is no terminal, a line tells after some seconds how long the work will take, and another
    follows every minute; short work has none.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        *,
        tell: Tell | None = None,
        shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            what: is being done, such as "Evaluating".
            total: pieces of work.
            unit: of them, for the bar.
            tell: takes a line; None prints it to standard error.
            shown: False for neither bar nor lines, as on all processes but one.
            clock: seconds from anywhere.
        """
        self._what = what
        self._total = total
        self._tell = tell or partial(print, file=sys.stderr, flush=True)
        self._clock = clock
        on_terminal = sys.stderr.isatty()
        columns, rows = _size()
        disable = not (shown and on_terminal)
        self._bar = tqdm(total=total, desc=what, unit=unit, leave=False, disable=disable, ncols=columns, nrows=rows)
        self._tells = shown and not on_terminal
        self._done = 0
        self._start = clock()
        self._next = self._start + _FIRST_LINE

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Takes the bar away."""
        self._bar.close()

    def update(self, count: int = 1) -> None:
        """Counts what is done."""
        self._bar.update(count)
        self._done += count
        now = self._clock()
        if not self._tells or now < self._next or not self._done:
            return
        self._next = now + _NEXT_LINE
        left = (now - self._start) / self._done * (self._total - self._done)
        if left >= _SOON:
            self._tell(f"{self._what}: {self._done / self._total:.0%} done, about {duration(left)} left")


def _size() -> tuple[int, int] | tuple[None, None]:
    """Columns and rows for a terminal that tells none, as a container's, where tqdm's bar would be blank."""
    with suppress(OSError, ValueError):
        if not os.get_terminal_size(sys.stderr.fileno()).columns:
            return 79, 24
    return None, None


def duration(seconds: float) -> str:
    """A time for people to read, such as "95 s", "12 min" or "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
