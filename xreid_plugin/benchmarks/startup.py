"""Start-up: how long a user waits before anything happens, and the memory that it takes; torch alone for comparison.

A fresh interpreter is started for every run; a first run, which does not count, warms the file cache and shows its peak
memory.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from xreid_plugin.benchmarks.report import Case

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "import xreid_plugin": ("-c", "import xreid_plugin"),
    "train_net.py --help": ("tools/train_net.py", "--help"),
    "compare.py --help": ("tools/compare.py", "--help"),
    "evaluate_features.py --help": ("tools/evaluate_features.py", "--help"),
}


def cases(sizes: Sequence[str] = tuple(COMMANDS)) -> list[Case]:
    """One case per command.

    Raises:
        ValueError: a size is not one of the commands.
    """
    unknown = set(sizes) - set(COMMANDS)
    if unknown:
        raise ValueError(f"startup knows no {sorted(unknown)}; its sizes are {list(COMMANDS)}")
    return [Case("start-up", name, __name__, None, "command", {"name": name}) for name in sizes]


def command(name: str) -> Callable[[], object]:
    """Work that runs one of COMMANDS."""
    return Start(*COMMANDS[name])


class Start:
    """The start of an interpreter, until it ends.

    Attributes:
        peak_mib: its peak resident memory, or that of a process that it started itself.
    """

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, *arguments]
        self.peak_mib = peak_of(self._command)

    def __call__(self) -> None:
        """Waits for its end."""
        subprocess.run(self._command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


# On Linux a process begins with the peak of the one that starts it, which therefore has to be small.
_SMALL_PARENT = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_of(command: Sequence[str]) -> float:
    """Runs a command, whose output is discarded, from the checkout's root.

    Args:
        command: the program's full path and its arguments.

    Returns:
        Its peak resident memory in MiB, at least the some 10 MiB of a bare interpreter.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    # -S and -I leave out all that an interpreter imports on its own; the command does not inherit them.
    run = [sys.executable, "-S", "-I", "-c", _SMALL_PARENT, *command]
    peak = int(subprocess.run(run, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
