"""Start-up: how long a user waits before anything happens, and the memory that it takes; torch alone for comparison."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Work
from benchmarks.report import Case

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "import xreid_plugin": ("-c", "import xreid_plugin"),
    "train_net.py --help": ("tools/train_net.py", "--help"),
    "compare.py --help": ("tools/compare.py", "--help"),
    "evaluate_features.py --help": ("tools/evaluate_features.py", "--help"),
}
# On Linux a process begins with the peak of the one that starts it, which therefore has to be small.
_SMALL_PARENT = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def startup_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per command; a size is one of COMMANDS."""
    if unknown := set(sizes or ()) - set(COMMANDS):
        raise ValueError(f"startup knows no {sorted(unknown)}; its sizes are {list(COMMANDS)}")
    return [Case("start-up", name, start, COMMANDS[name]) for name in sizes or COMMANDS]


def start(*arguments: str) -> Work:
    """A Python of its own, to its end, in the checkout's root; its peak is at least the 10 MiB of a bare interpreter.

    A first run, which does not count, warms the file cache and shows that peak.
    """
    command = [sys.executable, *arguments]
    # -S and -I leave out all that an interpreter imports on its own; the command does not inherit them.
    first = [sys.executable, "-S", "-I", "-c", _SMALL_PARENT, *command]
    peak = int(subprocess.run(first, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Work(lambda: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL), peak_mib=mib)
