"""FAISS, imported so that its matrix products use all that the processor offers.

FAISS's wheels bring an OpenBLAS of their own, and that of faiss-gpu 1.15 is older than today's servers: a processor it
does not know it takes for a Prescott of 2004, without AVX, and then searches almost three times slower than it could.
"""

import os
import sys
from types import ModuleType

import torch

CORE_TYPE = "OPENBLAS_CORETYPE"
# OpenBLAS's kernels for what torch reports that the processor can do; OpenBLAS knows older processors by itself.
KERNELS = {"AVX2": "Haswell", "AVX512": "SkylakeX"}


def import_faiss() -> ModuleType:
    """FAISS; at its first import OpenBLAS is told the processor's instruction set, unless the user has set it.

    The variable is read once, as the library is loaded; other processes and libraries choose for themselves.
    """
    kernels = KERNELS.get(torch.backends.cpu.get_cpu_capability())
    told = kernels is not None and CORE_TYPE not in os.environ and "faiss" not in sys.modules
    if told:
        os.environ[CORE_TYPE] = str(kernels)
    try:
        # Imported here: faiss takes longer to import than all the rest of this package.
        import faiss
    finally:
        if told:
            del os.environ[CORE_TYPE]
    module: ModuleType = faiss
    return module
