"""The host, imported: its version is checked, and it finds the names that it needs."""

import collections
import importlib
import importlib.metadata
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xreid_plugin.faiss_library import import_faiss

HOST_VERSION = "1.4.0"


def check_version() -> None:
    """Checks that the host is installed, in the version whose faults are known.

    Raises:
        ImportError: the host is missing or of another version; names the command that installs the right one.
    """
    remedy = f"python -m pip install --no-deps fastreid=={HOST_VERSION}"
    try:
        found = importlib.metadata.version("fastreid")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"xreid_plugin needs its host, fast-reid {HOST_VERSION}. Install it with: {remedy}") from None
    if found != HOST_VERSION:
        raise ImportError(f"xreid_plugin fixes fast-reid {HOST_VERSION}, but {found} is installed. Run: {remedy}")


@contextmanager
def legacy_names() -> Iterator[None]:
    """Provides the two legacy names that the host imports and that no longer exist, and removes them again.

    ``torch._six`` left torch in 2.0 and ``collections.Mapping`` left Python in 3.10. Other packages probe for both to
    tell versions apart, hence only while the host is imported.
    """
    six = types.ModuleType("torch._six")
    six.string_classes = (str, bytes)  # type: ignore[attr-defined]
    sys.modules["torch._six"] = six
    collections.Mapping = Mapping  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules["torch._six"]
        del collections.Mapping  # type: ignore[attr-defined]


class DeferredModule(types.ModuleType):
    """Stands in for a module; reading any attribute imports the module."""

    def __getattr__(self, name: str) -> Any:
        # Python's import machinery asks for such names, and must not be answered with an import.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """While this lasts, importing one of these modules gives a stand-in, unless it has been imported already.

    Args:
        *names: dotted names of modules; a package comes before those of its modules that are named too.
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


# What the host imports up front for ROC curves, image transforms and its report on the environment takes longer than
# everything else.
LATE = ("sklearn", "sklearn.metrics", "torchvision", "torchvision.transforms")

with legacy_names(), deferred(*LATE), warnings.catch_warnings():
    check_version()
    # Otherwise the host would be the first to import FAISS, without telling OpenBLAS the processor.
    import_faiss()
    # Both modules warn, once an evaluation runs, that their Cython builds are missing; see no_compilation.
    warnings.filterwarnings("ignore", message="Cython (rank|roc) evaluation", category=UserWarning)
    # Everything that is fixed, and what it imports.
    import fastreid.data.build
    import fastreid.engine.defaults
    import fastreid.engine.hooks
    import fastreid.engine.train_loop
    import fastreid.evaluation.rank
    import fastreid.evaluation.reid_evaluation
    import fastreid.evaluation.roc
    import fastreid.modeling.meta_arch.build
    import fastreid.solver.build
    import fastreid.utils.checkpoint
    import fastreid.utils.comm
    import fastreid.utils.compute_dist
