"""Modules of the user's own: imported, they register datasets, samplers, losses and models, and add their keys.

They are named on the command line (``--import``) or imported by a program, and never named in a configuration: that may
come from anybody, with a checkpoint for example, and must not run code.
"""

import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path

SUFFIX = ".py"

_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
# Code that is not the user's begins with one of them; "<" begins what has no file.
_OF_OTHERS = ("<", *(f"{folder}{os.sep}" for folder in (*_LIBRARIES, Path(__file__).parent)))


class ExtensionError(ValueError):
    """A module of the user's own that cannot be imported; names file and line of what is wrong, where there is one."""


def import_extensions(names: Sequence[str]) -> None:
    """Imports modules, each once in a process, under a name by which other processes find them too.

    ``sys.path`` is given the folder of a file as its last entry, so that the file hides no module, and the working
    folder as its first for a dotted name. Processes that are started by this one have the same path.

    Args:
        names: files, which end in ".py", and dotted names of modules.

    Raises:
        ExtensionError: a module is not there, has the name of another, or fails; only the first that does is told.
    """
    for name in names:
        module = _module_of(name) if name.endswith(SUFFIX) else _from_working_folder(name)
        try:
            importlib.import_module(module)
        # Whatever the user's code raises; sys.exit would end the tool without a word.
        except (Exception, SystemExit) as error:
            raise ExtensionError(f"--import {name}: {_what_is_wrong(module, error)}") from error


def _module_of(name: str) -> str:
    """What a file can be imported as, once its folder is on the path."""
    file = Path(name).resolve()
    if not file.is_file():
        raise ExtensionError(f"--import {name}: there is no such file.")
    if not file.stem.isidentifier():
        raise ExtensionError(f"--import {name}: rename it: Python cannot import a module named '{file.stem}'.")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    # It may have been written a moment ago.
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(file.stem)
    except ValueError:
        # Of a module that was made by hand, such as __main__.
        spec = None
    origin = spec.origin if spec is not None else None
    if origin is None or not Path(origin).is_file() or not file.samefile(origin):
        raise ExtensionError(
            f"--import {name}: rename it: '{file.stem}' is the name of another module"
            f"{f', {origin}' if origin is not None else ''}."
        )
    return file.stem


def _from_working_folder(name: str) -> str:
    folder = str(Path.cwd())
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    return name


def _what_is_wrong(module: str, error: BaseException) -> str:
    place = _place_in_users_code(module, error)
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and not place:
        return f"{text}; expected a file, FILE.py, or a module that can be imported from {Path.cwd()}."
    if isinstance(error, SystemExit):
        return f"{place}it ends the program; let it do so only where __name__ is '__main__'."
    if isinstance(error, SyntaxError):
        return f"{place}it is not Python: {error.msg}."
    if isinstance(error, AssertionError) and "already registered" in text:
        return f"{place}{text} Choose another name, and import each module by one name alone."
    return f"{place}{type(error).__name__}{': ' if text else ''}{text}"


def _place_in_users_code(module: str, error: BaseException) -> str:
    """The innermost line of it that the error went through; empty where it went through none."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"{error.filename}, line {error.lineno}: "
    package = module.partition(".")[0]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = frame.f_code.co_filename
        # One that is installed lies among others.
        is_theirs = str(frame.f_globals.get("__name__", "")).partition(".")[0] == package
        if is_theirs or not file.startswith(_OF_OTHERS):
            return f"{file}, line {line}: "
    return ""
