"""Time and peak memory of one piece of work in a process of its own.

The work is named by a module and a function of it. The function takes the case's arguments, prepares the input and
returns what is to be measured, so that neither imports nor input are counted.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

# Work is not repeated once it has taken this long.
SECONDS_TO_SPEND = 5.0


class Measurement(NamedTuple):
    """What one process measured.

    Attributes:
        seconds: the fastest run.
        peak_mib: peak resident memory of the whole process, imports and input included; or, where the work
            has an attribute of this name, that of a process that it starts.
        added_mib: by how much the work raised that peak; None where it is another process's.
        runs: how many runs there were.
        cpu_seconds: processor time of the fastest run, over all threads and finished child processes.
        device_mib: peak memory of torch's tensors on the GPU, 0 without one.
        flops: floating-point operations of a run, where the work has an attribute of this name; else 0.
        peak_flops: operations a second that the device can do, likewise.
        recall: share of the wanted results that the work finds, likewise.
    """

    seconds: float
    peak_mib: float
    added_mib: float | None
    runs: int
    cpu_seconds: float = 0.0
    device_mib: float = 0.0
    flops: float = 0.0
    peak_flops: float = 0.0
    recall: float = 0.0


def measure(module: str, function: str, arguments: Mapping[str, object], repeats: int = 3) -> Measurement:
    """Measures in a fresh Python process.

    Args:
        module: dotted name.
        function: a function of that module; given ``arguments``, it returns the work, a callable without arguments.
        arguments: values that JSON can carry.
        repeats: greatest number of runs, at least 1; fewer once 5 s are spent.

    Raises:
        RuntimeError: the process failed; the message holds the end of what it wrote.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "measurement.json"
        job = json.dumps([module, function, dict(arguments), repeats, str(answer)])
        # Run as a file, this module imports no package: what the work does not import is not in its memory. -P keeps
        # the file's folder out of sys.path.
        command = [sys.executable, "-P", __file__, job]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{module}.{function}{dict(arguments)} failed:\n{done.stderr[-2000:]}")
        return Measurement(**json.loads(answer.read_text()))


def measure_here(module: str, function: str, arguments: Mapping[str, object], repeats: int) -> Measurement:
    """Measures in this process, whose peak so far must be its imports and the input."""
    work = getattr(importlib.import_module(module), function)(**arguments)
    before = _peak_mib()
    timings: list[tuple[float, float]] = []
    while len(timings) < repeats and sum(seconds for seconds, _ in timings) < SECONDS_TO_SPEND:
        start, cpu_start = time.perf_counter(), sum(os.times()[:4])
        work()
        _wait_for_device()
        timings.append((time.perf_counter() - start, sum(os.times()[:4]) - cpu_start))
    seconds, cpu_seconds = min(timings)
    of_started = getattr(work, "peak_mib", None)
    return Measurement(
        seconds,
        _peak_mib() if of_started is None else of_started,
        _peak_mib() - before if of_started is None else None,
        len(timings),
        cpu_seconds,
        _device_peak_mib(),
        getattr(work, "flops", 0.0),
        getattr(work, "peak_flops", 0.0),
        getattr(work, "recall", 0.0),
    )


def _cuda() -> Any:
    """torch.cuda, if the work has used it: this module itself must not import torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _wait_for_device() -> None:
    if (cuda := _cuda()) is not None:
        cuda.synchronize()


def _device_peak_mib() -> float:
    return cuda.max_memory_allocated() / (1 << 20) if (cuda := _cuda()) is not None else 0.0


def _peak_mib() -> float:
    # On Linux ru_maxrss outlives exec: a process would start at the peak of the one that started it.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    *job, target = json.loads(sys.argv[1])
    Path(target).write_text(json.dumps(measure_here(*job)._asdict()))
