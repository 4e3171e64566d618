"""Runs of a comparison as processes of their own, so that one that fails, hogs memory or is killed stays alone."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xreid_plugin.comparison.plan import Run, claim_folder
from xreid_plugin.files import replace_atomically

# The end of a line in training's log on CUDA.
_CUDA_MEMORY = re.compile(r"([\d.]+) GiB$", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """What a run has used, over all its attempts.

    Attributes:
        seconds: wall time, including the start of the process and the evaluations.
        peak_bytes: most memory at a time: torch's on the GPU, or else resident in the training process, without its
            loader's workers.
        on_gpu: whether it is torch's on the GPU.
    """

    seconds: float
    peak_bytes: int
    on_gpu: bool


def execute(run: Run, train_net: Path, imports: Sequence[str] = ()) -> int:
    """Trains and evaluates, from the run's last checkpoint if it has one.

    What the run prints is appended to ``run.log``; what it used is added to what earlier attempts did.

    Args:
        run: a run that is not done yet.
        train_net: the tool that trains.
        imports: modules of the user's own, for its ``--import``.

    Returns:
        The exit code; a run that ends well without its results has failed too, with 1.
    """
    resume = ["--resume"] if run.can_resume else []
    claim_folder(run)
    more = [*resume, *(word for name in imports for word in ("--import", name))]
    command = [sys.executable, str(train_net), "--config-file", str(run.config_file), *more, *run.overrides]
    start = time.monotonic()
    with run.log.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            # The resource module counts all children together, so its peak would be that of the largest so far.
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    # Linux counts in KiB, macOS in bytes.
    resident = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    _add_usage(run, time.monotonic() - start, resident)
    return process.returncode or int(not run.is_done)


def execute_all(runs: list[Run], train_net: Path, say: Callable[[str], None], imports: Sequence[str] = ()) -> None:
    """Executes what is not done, and says so in a line or two a run.

    Args:
        runs: the runs of the comparison.
        train_net: the tool that trains.
        say: is called with each line.
        imports: see :func:`execute`.
    """
    for number, run in enumerate(runs, 1):
        label = f"[{number}/{len(runs)}] {run.name}, seed {run.seed}"
        if run.is_done:
            say(f"{label}: done before")
            continue
        say(f"{label}: {'going on from its last checkpoint' if run.can_resume else 'training'}, see {run.log}")
        code = execute(run, train_net, imports)
        if code:
            say(f"{label}: failed with exit code {code}: {last_line(run)}")
            continue
        figures = json.loads(run.results.read_text())["figures"]
        maps = "  ".join(f"{key} {value:.2f}" for key, value in figures.items() if key.endswith("/mAP"))
        say(f"{label}: done in {read_usage(run).seconds:.0f} s  {maps}")


def read_usage(run: Run) -> Usage:
    """What the run has used so far; zero before its first attempt."""
    path = _usage_file(run)
    return Usage(**json.loads(path.read_text())) if path.is_file() else Usage(0.0, 0, False)


def last_line(run: Run) -> str:
    """The last line of the run's log: after a failure, the error."""
    lines = run.log.read_text(errors="replace").split("\n") if run.log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was printed")


def _add_usage(run: Run, seconds: float, resident: int) -> None:
    before = read_usage(run)
    on_gpu = [round(float(gib) * 2**30) for gib in _CUDA_MEMORY.findall(run.log.read_text(errors="replace"))]
    peak = max(on_gpu) if on_gpu else max(before.peak_bytes, resident)
    usage = Usage(before.seconds + seconds, peak, bool(on_gpu))
    replace_atomically(_usage_file(run), lambda part: part.write_text(json.dumps(asdict(usage)) + "\n"))


def _usage_file(run: Run) -> Path:
    return run.folder / "usage.json"
