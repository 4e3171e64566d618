"""Writing files so that nobody ever sees half of one. Imports nothing of ours."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_atomically(target: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside ``target`` and renames it, so that a reader sees the old file or the new one, never half.

    Args:
        target: the file to make or replace.
        write: writes the new content to the path that it is given.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
