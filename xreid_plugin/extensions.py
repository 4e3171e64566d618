"""Modules of the user's own: imported, they register datasets, samplers, losses and models, and add their keys.

They are named on the command line (``--import``) or imported by a program, and never named in a configuration: that may
come from anybody, with a checkpoint for example, and must not run code.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path


def import_extensions(names: Sequence[str]) -> None:
    """Imports modules, each once in a process, under a name by which other processes find them too.

    ``sys.path`` is given the folder of a file as its last entry, so that the file hides no module, and the working
    folder as its first for a dotted name. Processes that are started by this one have the same path.

    Args:
        names: files, which end in ".py", and dotted names of modules.

    Raises:
        ValueError: a module is not there or fails; tells where.
    """
    for name in names:
        file = Path(name).resolve() if name.endswith(".py") else None
        _extend_path(file)
        try:
            importlib.import_module(file.stem if file is not None else name)
        # Whatever the user's code raises.
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
            raise ValueError(f"--import {name}: {what}") from error


def _extend_path(file: Path | None) -> None:
    if file is not None and str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    folder = str(Path.cwd())
    if file is None and sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    # A module may have been written a moment ago.
    importlib.invalidate_caches()
