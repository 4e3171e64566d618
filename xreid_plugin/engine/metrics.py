"""One curve for one run, however often it was interrupted: metrics.json, TensorBoard, and what they are made from."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastreid.utils.events import EventStorage, JSONWriter, TensorboardXWriter

from xreid_plugin.engine.console import WINDOW
from xreid_plugin.files import replace_atomically, write_error

logger = logging.getLogger(__name__)

# What a clock measures starts anew with every process.
CLOCKED = ("time", "data_time", "clips_per_second")


class MetricsFile(JSONWriter):
    """The host's writer of a JSON object a line; a resumed run goes on where its checkpoint was made."""

    def __init__(self, path: Path, start: int) -> None:
        """
        Args:
            path: of the file. Lines from ``start`` on are cut off; at 0 a file of an earlier run is renamed to
                ``NAME.previous``.
            start: iteration that the run goes on with.

        Raises:
            WriteError: the disk is full.
        """
        self._path = path
        kept = _lines_before(path, start)
        if path.is_file() and start == 0 and path.stat().st_size:
            path.replace(path.with_name(f"{path.name}.previous"))
        elif path.is_file() and "".join(kept.values()) != path.read_text(encoding="utf-8", errors="replace"):
            replace_atomically(path, lambda part: part.write_text("".join(kept.values()), encoding="utf-8"))
        super().__init__(str(path), WINDOW)
        self._last_write = max(kept, default=-1)

    @property
    def last_iteration(self) -> int:
        """Of the last line; -1 where there is none."""
        return self._last_write

    def write(self) -> None:
        """Appends what is new.

        Raises:
            WriteError: the disk is full; the half line is cut off when the run goes on.
        """
        try:
            super().write()
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        """Closes the file; what a full disk did not take before, it does not take now."""
        try:
            super().close()
        except OSError as error:
            logger.error(str(write_error(self._path, error)))


def has_evaluation(path: Path, iteration: int) -> bool:
    """Whether the file has figures of an evaluation at an iteration."""
    return '/mAP"' in _lines_before(path, iteration + 1).get(iteration, "")


def _lines_before(path: Path, start: int) -> dict[int, str]:
    """By iteration, the whole lines of the file, the last of them where some are of one iteration."""
    kept: dict[int, str] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines(keepends=True):
        try:
            iteration = json.loads(line)["iteration"]
        except (ValueError, LookupError, TypeError):
            # A kill or a full disk has left half of it.
            continue
        if line.endswith("\n") and isinstance(iteration, int) and iteration < start:
            kept[iteration] = line
    return kept


class EventsFile(TensorboardXWriter):
    """The host's writer for TensorBoard, which then hides what an interrupted run wrote beyond its checkpoint."""

    def __init__(self, folder: Path, start: int, last_iteration: int) -> None:
        """
        Args:
            folder: of the run.
            start: iteration that the run goes on with.
            last_iteration: of what is already written.
        """
        super().__init__(str(folder), WINDOW, purge_step=start if start else None)
        self._folder = folder
        self._last_write = last_iteration

    def write(self) -> None:
        """Writes what is new, at once: a kill loses nothing of it.

        Raises:
            WriteError: the disk is full.
        """
        try:
            super().write()
            self._writer.flush()
        except OSError as error:
            raise write_error(self._folder / "events.out.tfevents", error) from error

    def close(self) -> None:
        """Closes the file; see :meth:`MetricsFile.close`."""
        try:
            super().close()
        except OSError as error:
            logger.error(str(write_error(self._folder / "events.out.tfevents", error)))


def storage_state(storage: EventStorage) -> dict[str, Any]:
    """What of a run's record its next lines depend on: plain containers, for a checkpoint."""
    kept = {name: buffer for name, buffer in storage.histories().items() if name not in CLOCKED}
    return {
        "values": {name: [value for value, _ in buffer.values()[-WINDOW:]] for name, buffer in kept.items()},
        "latest": {name: storage.latest()[name] for name in kept},
        "smoothed": {name: storage.smoothing_hints()[name] for name in kept},
    }


def restore_storage(storage: EventStorage, state: Mapping[str, Any]) -> None:
    """Fills an empty record with what :func:`storage_state` returned."""
    for name, values in state["values"].items():
        for value in values:
            storage.put_scalar(name, value, smoothing_hint=state["smoothed"][name])
    storage.latest().update({name: tuple(entry) for name, entry in state["latest"].items()})
