"""The libraries that only the export needs, imported when it runs."""

import importlib
from typing import Any

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


class ExportError(ValueError):
    """The model cannot be exported; the message says why and what helps."""


def library(name: str) -> Any:
    """Imports one of LIBRARIES, or a module of one.

    Raises:
        ExportError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"The export needs {name.partition('.')[0]}, which cannot be imported ({error}): "
            f"pip install {' '.join(LIBRARIES)}"
        ) from error


def check_libraries() -> None:
    """Imports them all, before work that takes long.

    Raises:
        ExportError: one is not installed.
    """
    for name in LIBRARIES:
        library(name)
