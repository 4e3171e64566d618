"""Start-up: how long a user waits before anything happens; torch alone for comparison."""

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


def startup_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per command; a size is one of COMMANDS."""
    if unknown := set(sizes or ()) - set(COMMANDS):
        raise ValueError(f"startup knows no {sorted(unknown)}; its sizes are {list(COMMANDS)}")
    return [Case("start-up", name, start, COMMANDS[name]) for name in sizes or COMMANDS]


def start(*arguments: str) -> Work:
    """A Python of its own, to its end, in the checkout's root; a first run, not counted, warms the file cache."""
    command = [sys.executable, *arguments]

    def run() -> None:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    run()
    return Work(run)
