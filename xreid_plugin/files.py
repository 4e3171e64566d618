"""Writing files so that nobody ever sees half of one. Imports nothing else of this package."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def replace_atomically(target: Path, write: Callable[[Path], object]) -> None:
    """Writes ``NAME.part`` beside ``target`` and renames it: a reader sees the old file or the new one, never half.

    What a process leaves of it that is killed, the next one overwrites.

    Args:
        target: the file to make or replace.
        write: a function that writes the new content to the path that it is given.

    Raises:
        OSError: the disk is full, or refuses for another reason; ``target`` is as it was.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except (OSError, RuntimeError) as error:
        reason: BaseException | None = error
        # Torch hides the system's error under its own when it tries to finish a file on a full disk.
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__
        if reason is None:
            raise
        free = in_words(shutil.disk_usage(target.parent).free)
        message = f"{target} could not be written: {reason.strerror or reason} ({free} free)."
        raise OSError(reason.errno, message) from error
    finally:
        part.unlink(missing_ok=True)


def in_words(size: int) -> str:
    """Bytes for people, such as "1.5 GiB"."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
