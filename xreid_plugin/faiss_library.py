"""FAISS, imported so that its matrix products use all that the processor offers.

FAISS's wheels bring an OpenBLAS of their own, and that of faiss-gpu 1.15 is older than today's servers: a processor it
does not know it takes for a Prescott of 2004, without AVX, and then searches almost three times slower than it could.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

CORE_TYPE = "OPENBLAS_CORETYPE"
# OpenBLAS's kernels for what torch reports that the processor can do; OpenBLAS knows older processors by itself.
KERNELS = {"AVX2": "Haswell", "AVX512": "SkylakeX"}


def import_faiss() -> ModuleType:
    """FAISS; at its first import OpenBLAS is told the processor's instruction set, unless the user has set it."""
    if "faiss" in sys.modules:
        return sys.modules["faiss"]
    with _core_type(KERNELS.get(torch.backends.cpu.get_cpu_capability())):
        # Imported here: faiss takes longer to import than all the rest of this package.
        import faiss
    module: ModuleType = faiss
    return module


@contextmanager
def _core_type(kernels: str | None) -> Iterator[None]:
    """The variable is read once, as the library is loaded; other processes and libraries choose for themselves."""
    if kernels is None or CORE_TYPE in os.environ:
        yield
        return
    os.environ[CORE_TYPE] = kernels
    try:
        yield
    finally:
        del os.environ[CORE_TYPE]
