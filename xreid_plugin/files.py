"""Writing files so that nobody ever sees half of one. Imports nothing else of this package."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# What replace_atomically writes to before it renames: the target's name and the writing process's number.
_PART = re.compile(r".+\.(\d+)\.part")


class WriteError(OSError):
    """A file could not be written; the message names it, the reason, and the space that is free and needed."""


def replace_atomically(target: Path, write: Callable[[Path], object], needed: int = 0) -> None:
    """Writes a file beside ``target`` and renames it, so that a reader sees the old file or the new one, never half.

    The same holds if the machine loses power: content and name are on the disk when this returns.

    Args:
        target: the file to make or replace.
        write: a function that writes the new content to the path that it is given.
        needed: least number of bytes in the new file, where it is known.

    Raises:
        WriteError: the disk is full, or refuses for another reason; ``target`` is as it was.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        free = free_bytes(target.parent)
        if free is not None and needed > free:
            raise OSError("not enough space")
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    except (OSError, RuntimeError) as error:
        reason = disk_error_within(error)
        if reason is None:
            raise
        raise write_error(target, reason, needed) from error
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk, where the system can."""
    # Not every system lets a folder be opened, and some network disks cannot sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_error(target: Path, reason: OSError, needed: int = 0) -> WriteError:
    """The error to raise where ``target`` could not be written.

    Args:
        target: the file.
        reason: what the system said.
        needed: least number of bytes that it would have; 0 where that is not known.
    """
    free = free_bytes(target.parent)
    space = [] if free is None else [f"{in_words(free)} free"]
    space += [f"{in_words(needed)} needed"] if needed else []
    known = f" ({' and '.join(space)})" if space else ""
    error = WriteError(f"{target} could not be written: {reason.strerror or reason}{known}.")
    error.errno = reason.errno
    return error


def disk_error_within(error: BaseException | None) -> OSError | None:
    """The system's error, which torch hides under its own when it tries to finish a file on a full disk."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def free_bytes(folder: Path) -> int | None:
    """Free bytes on the disk that holds a folder; None if that is unknown, as where there is no such folder."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def in_words(size: int) -> str:
    """Bytes for people, such as "1.5 GiB"."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def remove_leftovers(folder: Path) -> list[Path]:
    """Removes what :func:`replace_atomically` was writing in a folder when its process was killed.

    Args:
        folder: the folder whose own files are looked at, not those of folders in it.

    Returns:
        What was removed; a file of another process that lives on this machine is not.
    """
    removed = []
    for file in sorted(folder.glob("*.part")):
        match = _PART.fullmatch(file.name)
        if match is None or not file.is_file() or _is_another_process(int(match[1])):
            continue
        file.unlink(missing_ok=True)
        removed.append(file)
    return removed


def _is_another_process(number: int) -> bool:
    if number == os.getpid():
        # A container numbers its processes from 1 again: this process has not written anything yet.
        return False
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
