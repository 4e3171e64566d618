"""What a run prints: a line once a period, and of the host's log what is news."""

import datetime
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from fastreid.utils.events import EventStorage, EventWriter, get_event_storage

logger = logging.getLogger(__name__)

# Losses and rates wobble from batch to batch; the line shows the median of the latest.
WINDOW = 20

# Of every evaluation; the host calls tracklets images, tells the time twice, and how far it is beside the bar.
_NO_NEWS = ("Start inference on", "Total inference pure compute time", "Inference done ")
_ARGUMENTS = "Command line arguments: "


@contextmanager
def details_to_file() -> Iterator[None]:
    """Keeps what the host logs off the screen, but not out of the log file.

    It tells the whole environment, configuration and model, hundreds of lines before the first that is news.
    """
    screens = _screens("fastreid")
    host = logging.getLogger("fastreid")
    host.addFilter(_with_command)
    for screen in screens:
        screen.setLevel(logging.WARNING)
        screen.addFilter(_is_news)
    for screen in screens + _screens("xreid_plugin"):
        _outlive_reader(screen)
    try:
        yield
    finally:
        host.removeFilter(_with_command)
        for screen in screens:
            screen.setLevel(logging.DEBUG)


def _screens(name: str) -> list[Any]:
    return [h for h in logging.getLogger(name).handlers if getattr(h, "stream", None) is sys.stdout]


def _with_command(record: logging.LogRecord) -> bool:
    """Puts what was typed in place of the options that the host was handed, which are not all of it."""
    if record.getMessage().startswith(_ARGUMENTS):
        record.msg, record.args = f"Command line: {shlex.join(['python', *sys.argv])}", ()
    return True


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NO_NEWS)


def _outlive_reader(screen: Any) -> None:
    """Lets a run go on where ``| head`` or a closed terminal reads no further: the log file has all of it."""
    usual = screen.handleError

    def handle(record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            usual(record)
            return
        os.dup2(os.open(os.devnull, os.O_WRONLY), screen.stream.fileno())
        with suppress(OSError):
            print("Nobody reads the output any more; the run goes on, and log.txt has it all.", file=sys.stderr)

    screen.handleError = handle


class ConsoleWriter(EventWriter):
    """Replaces the host's printer, which knows losses alone: also prototypes, clips a second and time left."""

    def __init__(self, max_iter: int, batch_size: int, device: torch.device) -> None:
        """
        Args:
            max_iter: iterations of the whole run, for the time left.
            batch_size: clips in a global batch, likewise.
            device: of the model; of a GPU the peak memory is shown.
        """
        self._max_iter = max_iter
        self._batch_size = batch_size
        self._device = device
        self._last = -1

    def write(self) -> None:
        """Logs one line about the latest iteration."""
        storage = get_event_storage()
        if storage.iter == self._last or storage.iter >= self._max_iter:
            return
        self._last = storage.iter
        parts = [f"epoch {storage.epoch + 1}", f"iteration {storage.iter + 1}/{self._max_iter}"]
        parts += [
            f"{name.removeprefix('loss_')} {buffer.median(WINDOW):.3f}"
            for name, buffer in storage.histories().items()
            if "loss" in name
        ]
        parts += [
            f"{name} {storage.history(name).median(WINDOW):.3f}"
            for name in ("prototype/own", "prototype/cross")
            if name in storage.histories()
        ]
        logger.info("  ".join(parts + self._rates(storage)))

    def _rates(self, storage: EventStorage) -> list[str]:
        parts = [f"lr {storage.history('lr').latest():.2e}"]
        if "clips_per_second" in storage.histories():
            rate = storage.history("clips_per_second").latest()
            parts.append(f"{rate:.1f} clips/s")
            left = self._batch_size / rate * (self._max_iter - storage.iter - 1)
            parts.append(f"left {datetime.timedelta(seconds=round(left))}")
        if self._device.type == "cuda":
            parts.append(f"{torch.cuda.max_memory_allocated(self._device) / 2**30:.1f} GiB")
        return parts
