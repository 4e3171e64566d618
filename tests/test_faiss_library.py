"""How FAISS is loaded, in processes that have not loaded it yet."""

import json
import os
import subprocess
import sys
from importlib.metadata import files, packages_distributions
from pathlib import Path

import pytest
import torch

from xreid_plugin.faiss_library import CORE_TYPE, KERNELS

CHILD = """
import ctypes, json, os
from xreid_plugin.faiss_library import CORE_TYPE, import_faiss
faiss = import_faiss()
assert import_faiss() is faiss
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "openblas" in line and "faiss" in line}
cores = []
for library in libraries:
    name = ctypes.CDLL(library).openblas_get_corename
    name.restype = ctypes.c_char_p
    cores.append(name().decode())
print(json.dumps({"cores": cores, "left": os.environ.get(CORE_TYPE)}))
"""


def loaded(**environment):
    clean = {name: value for name, value in os.environ.items() if name != CORE_TYPE}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, env={**clean, **environment}
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads which libraries are loaded from /proc")
@pytest.mark.slow
def test_openblas_uses_the_processors_instruction_set():
    kernels = KERNELS.get(torch.backends.cpu.get_cpu_capability())
    if kernels is None:
        pytest.skip("the processor has neither AVX2 nor AVX-512")
    installed = [file.name for name in packages_distributions()["faiss"] for file in files(name) or ()]
    if not any("openblas" in name for name in installed):
        pytest.skip("this build of FAISS brings no OpenBLAS of its own")
    found = loaded()
    assert found == {"cores": [kernels], "left": None}
