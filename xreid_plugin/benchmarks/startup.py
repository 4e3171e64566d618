"""Start-up: how long a user waits before anything happens, beside importing torch, which all of them need.

A fresh interpreter is started for every run; the first run of all warms the file cache and does not count.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from xreid_plugin.benchmarks.report import Case

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "import xreid_plugin": ("-c", "import xreid_plugin"),
    "train_net.py --help": ("tools/train_net.py", "--help"),
    "compare.py --help": ("tools/compare.py", "--help"),
    "evaluate_features.py --help": ("tools/evaluate_features.py", "--help"),
}


def cases(sizes: Sequence[str] = tuple(COMMANDS)) -> list[Case]:
    """One case a command.

    Raises:
        ValueError: a size is none of the commands.
    """
    unknown = set(sizes) - set(COMMANDS)
    if unknown:
        raise ValueError(f"startup knows no {sorted(unknown)}; its sizes are {list(COMMANDS)}")
    return [
        Case("start-up", name, __name__, "torch_alone", "command", {"name": name}, against="import torch")
        for name in sizes
    ]


def torch_alone(name: str) -> Callable[[], object]:
    """``import torch`` in an interpreter of its own; the name says beside what."""
    return _run("-c", "import torch")


def command(name: str) -> Callable[[], object]:
    """One of COMMANDS."""
    return _run(*COMMANDS[name])


def _run(*arguments: str) -> Callable[[], object]:
    def work() -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    work()
    return work
