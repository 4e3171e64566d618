"""Writing files so that nobody ever sees half of one. Imports nothing else of this package."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def replace_atomically(target: Path, write: Callable[[Path], object], needed: int = 0) -> None:
    """Writes a file beside ``target`` and renames it, so that a reader sees the old file or the new one, never half.

    The same holds if the machine loses power: content and name are on the disk when this returns.

    Args:
        target: the file to make or replace.
        write: a function that writes the new content to the path that it is given.
        needed: least number of bytes in the new file, for the message; 0 where that is not known.

    Raises:
        OSError: the disk is full, or refuses for another reason; ``target`` is as it was.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        _sync_folder(target.parent)
    except (OSError, RuntimeError) as error:
        reason: BaseException | None = error
        # Torch hides the system's error under its own when it tries to finish a file on a full disk.
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__
        if reason is None:
            raise
        free = in_words(shutil.disk_usage(target.parent).free)
        space = f"{in_words(needed)} needed, {free} free" if needed else f"{free} free"
        message = f"{target} could not be written: {reason.strerror or reason} ({space})."
        raise OSError(reason.errno, message) from error
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk, where the system can."""
    # Not every system lets a folder be opened, and some network disks cannot sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def in_words(size: int) -> str:
    """Bytes for people, such as "1.5 GiB"."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def remove_leftovers(folder: Path) -> list[Path]:
    """Removes what :func:`replace_atomically` was writing in a folder when its process was killed.

    Args:
        folder: whose own files are looked at, not those of folders in it.

    Returns:
        What was removed; a file of another process that lives on this machine is not.
    """
    removed = []
    for file in sorted(folder.glob("?*.part")):
        number = file.stem.rpartition(".")[2]
        if number.isdecimal() and file.is_file() and not _is_another_process(int(number)):
            file.unlink(missing_ok=True)
            removed.append(file)
    return removed


def _is_another_process(number: int) -> bool:
    # A container numbers its processes from 1 again: this process has not written anything yet.
    return number != os.getpid() and Path(f"/proc/{number}").exists()
