"""Imports that wait until the module is used, for a host that imports up front what few runs need."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class DeferredModule(ModuleType):
    """Stands in for a module; reading any attribute imports the module."""

    def __getattr__(self, name: str) -> Any:
        # Python's import machinery asks for such names, and must not be answered with an import.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__} is wanted while its import is still deferred: {name}")
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """While this lasts, importing one of these modules gives a stand-in, unless it has been imported already.

    Args:
        **names: dotted names of modules; a package comes before those of its modules that are named too.
    """
    stand_ins: dict[str, DeferredModule] = {}
    for name in names:
        package, _, last = name.rpartition(".")
        if name not in sys.modules and (not package or package in stand_ins):
            stand_ins[name] = DeferredModule(name)
            if package:
                setattr(stand_ins[package], last, stand_ins[name])
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
