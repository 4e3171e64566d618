"""A polite end: SIGTERM, or Ctrl-C once, lets a run finish its step and save."""

import os
import signal
import sys
from datetime import timedelta
from types import FrameType
from typing import Any, Self

import torch
from fastreid.utils import comm
from torch import distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RunStopped(Exception):
    """A run ended because it was asked to, after it had saved all that it needs to go on.

    Attributes:
        exit_code: 128 and the signal's number, as shells count: 143 for SIGTERM, 130 for SIGINT.
    """

    def __init__(self, message: str, number: int) -> None:
        """Where it stopped, and the signal."""
        super().__init__(message)
        self.exit_code = 128 + number


class StopAtOnce(BaseException):
    """Leaves what a run can do again, an evaluation or a refresh of the prototypes, for its end."""


_FIRST = "the run saves a checkpoint after this step, and ends"

# Of the training that runs in this process, if one does: signals are of the whole process, and so is this.
_entered: list["StopRequest"] = []


def poll() -> None:
    """Between two batches of a pass in a training: raises :class:`StopAtOnce` if a signal asks a single process to end.

    Several processes finish the pass: one that left would be waited for by the others. A handler that raised by itself
    would do so anywhere, in a finalizer too, which drops what is raised.
    """
    if _entered and _entered[-1].number and comm.get_world_size() == 1:
        raise StopAtOnce


class StopRequest:
    """While it is entered, signals are noted; :meth:`agreed` tells, on all ranks after the same step, to end.

    A second SIGINT interrupts at once, as it always does; further SIGTERMs change nothing, since clusters send several.
    """

    def __init__(self, timeout: timedelta) -> None:
        """
        Args:
            timeout: of the ranks' waiting for one another; torch's own is half an hour, whatever the run's is.
        """
        self._timeout = timeout
        self._received: list[int] = []
        self._agreed = 0
        self._former: dict[int, Any] = {}
        self._group: Any = None

    def __enter__(self) -> Self:
        _entered.append(self)
        self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
        if comm.get_world_size() > 1:
            self._group = dist.new_group(backend="gloo", timeout=self._timeout)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        _entered.remove(self)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self._received:
            raise KeyboardInterrupt
        if not self._received:
            # Not logged: the logger itself may be what was interrupted.
            os.write(sys.stderr.fileno(), f"{signal.Signals(number).name}: {_FIRST}\n".encode())
        self._received.append(number)

    @property
    def number(self) -> int:
        """Of the signal that this process, and all ranks if there are several, follow; 0 for none."""
        if comm.get_world_size() == 1:
            return self._received[0] if self._received else 0
        return self._agreed

    def agreed(self) -> bool:
        """Whether to end now; every rank calls it once after every step, and through the CPUs, not the GPUs."""
        if comm.get_world_size() > 1:
            number = torch.tensor(self._received[0] if self._received else 0)
            dist.all_reduce(number, dist.ReduceOp.MAX, self._group)
            self._agreed = int(number.item())
        return bool(self.number)
