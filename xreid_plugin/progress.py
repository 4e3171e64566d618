"""How far long work has got: tqdm's bar on a terminal; in a log, or wherever else nobody watches, a line a minute."""

import shutil
import sys
from collections.abc import Callable
from functools import partial

from tqdm import tqdm

LINE_SECONDS = 60.0


class ProgressBar(tqdm):
    """Counts pieces of work within a ``with`` block; :meth:`update` counts what is done."""

    def __init__(
        self, what: str, total: int, unit: str, *, tell: Callable[[str], object] | None = None, shown: bool = True
    ) -> None:
        """
        Args:
            what: is being done, such as "Evaluating".
            total: pieces of work.
            unit: of them, for the bar.
            tell: takes a line where there is no terminal; None prints it to standard error.
            shown: False for neither bar nor lines, as on all processes but one.
        """
        self._on_terminal = sys.stderr.isatty()
        self._tell = tell or partial(print, file=sys.stderr, flush=True)
        self._pieces = total
        # A container's terminal may tell no size.
        columns, rows = shutil.get_terminal_size((79, 24))
        super().__init__(
            total=total,
            desc=what,
            unit=unit,
            leave=False,
            disable=not shown,
            ncols=columns,
            nrows=rows,
            mininterval=0.1 if self._on_terminal else LINE_SECONDS,
            # The first line, too, comes after a while only: short work has none.
            delay=0 if self._on_terminal else LINE_SECONDS,
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Shows the bar, or tells its line; tqdm calls it."""
        if self._on_terminal:
            super().display(msg, pos)
        elif msg is None and self.n:
            left = self.format_dict["elapsed"] / self.n * (self._pieces - self.n)
            what = self.desc.removesuffix(": ")
            self._tell(f"{what}: {self.n / self._pieces:.0%} done, about {duration(left)} left")

    def close(self) -> None:
        """Takes the bar away; lines stay."""
        self.disable = self.disable or not self._on_terminal
        super().close()


def duration(seconds: float) -> str:
    """A time for people to read, such as "95 s", "12 min" or "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
