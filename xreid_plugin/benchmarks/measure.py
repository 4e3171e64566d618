"""Time and peak memory of one piece of work in a process of its own.

The work is named by a module and a function of it. The function takes the case's arguments, prepares the input and
returns what is to be measured, so that neither imports nor input count.
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
from typing import NamedTuple

# Work is not repeated once it has taken this long.
SECONDS_TO_SPEND = 5.0


class Measurement(NamedTuple):
    """What one process measured.

    Attributes:
        seconds: the fastest run.
        peak_mib: peak resident memory of the whole process, imports and input included.
        added_mib: by how much the work raised that peak.
        runs: how many runs there were.
    """

    seconds: float
    peak_mib: float
    added_mib: float
    runs: int


def measure(module: str, function: str, arguments: Mapping[str, object], repeats: int = 3) -> Measurement:
    """Measures in a fresh Python process.

    Args:
        module: dotted name.
        function: of that module; called with ``arguments``, it returns the work, a callable without arguments.
        arguments: what JSON can carry.
        repeats: runs at most, at least 1; fewer once 5 s are spent.

    Raises:
        RuntimeError: the process failed; holds the end of what it wrote.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "measurement.json"
        job = json.dumps([module, function, dict(arguments), repeats, str(answer)])
        # Run as a file, this module brings in no package: what the work does not import is not in its memory. -P keeps
        # the neighbours of the file out of sys.path.
        command = [sys.executable, "-P", __file__, job]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{module}.{function}{dict(arguments)} failed:\n{done.stderr[-2000:]}")
        return Measurement(**json.loads(answer.read_text()))


def measure_here(module: str, function: str, arguments: Mapping[str, object], repeats: int) -> Measurement:
    """Measures in this process, whose peak so far must be its imports and the input."""
    work = getattr(importlib.import_module(module), function)(**arguments)
    before = _peak_mib()
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < SECONDS_TO_SPEND:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return Measurement(min(seconds), _peak_mib(), _peak_mib() - before, len(seconds))


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
