"""Time and peak memory of one piece of work in a process of its own.

A benchmark names a function that prepares the input and returns the work, so that neither imports nor input count.
"""

import json
import os
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What is measured: ``run`` does it once.

    Attributes:
        found: by name, numbers other than its time, such as the share of the wanted results that it finds.
    """

    run: Callable[[], object]
    found: Mapping[str, float] = {}


class Measurement(NamedTuple):
    """What one process measured.

    Attributes:
        seconds: the fastest run.
        cpu_seconds: the least processor time of a run, over all threads and finished child processes.
        peak_mib: peak resident memory of the whole process, imports and input included.
        added_mib: by how much the work raised that peak.
        device_mib: peak memory of torch's tensors on the GPU, 0 without one.
        found: as the work says.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    added_mib: float
    device_mib: float = 0.0
    found: Mapping[str, float] = {}


def measure(
    prepare: Callable[[], Work], repeats: int = 3, variables: Mapping[str, str | None] | None = None
) -> Measurement:
    """Measures in a fresh Python process, which gets ``prepare``, a function of a module or a partial of one, pickled.

    Its environment is this one's with these variables; None removes one.

    RuntimeError: the process failed; the message holds the end of what it wrote.
    """
    tools = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, [str(tools), str(tools.parent), os.environ.get("PYTHONPATH")]))
    # Run as a file, this module imports no package: what the work does not import is not in its memory. -P keeps the
    # file's folder out of sys.path.
    command = [sys.executable, "-P", __file__, str(repeats)]
    wanted = {**os.environ, "PYTHONPATH": path, **(variables or {})}
    environment = {name: value for name, value in wanted.items() if value is not None}
    done = subprocess.run(command, input=pickle.dumps(prepare), capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{prepare} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def measure_here(prepare: Callable[[], Work], repeats: int) -> Measurement:
    """Measures in this process, whose peak so far must be its imports and the input."""
    work = prepare()
    # Only if the work has used it: this module itself must not import torch.
    torch: Any = sys.modules.get("torch")
    cuda = torch.cuda if torch is not None and torch.cuda.is_initialized() else None
    before = _peak_mib()
    timings: list[tuple[float, float]] = []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), _cpu_seconds()
        work.run()
        if cuda is not None:
            cuda.synchronize()
        timings.append((time.perf_counter() - start, _cpu_seconds() - cpu_start))
    peak = _peak_mib()
    on_device = cuda.max_memory_allocated() / (1 << 20) if cuda is not None else 0.0
    seconds, cpu_seconds = map(min, zip(*timings, strict=True))
    return Measurement(seconds, cpu_seconds, peak, peak - before, on_device, work.found)


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def _peak_mib() -> float:
    # On Linux ru_maxrss outlives exec: a process would start at the peak of the one that started it.
    if (status := Path("/proc/self/status")).exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / (1 << 10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    found = measure_here(pickle.load(sys.stdin.buffer), int(sys.argv[1]))
    print("\n" + json.dumps(found._asdict()))
