"""Start-up: how long a user waits before anything happens, beside what it cannot do without."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.measure import Work
from benchmarks.report import Case, beside_floor

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {"import torch": ("-c", "import torch"), "import argparse": ("-c", "import argparse")}
COMMANDS = {
    "import xreid_plugin": ("-c", "import xreid_plugin"),
    "train_net.py --help": ("tools/train_net.py", "--help"),
    "compare.py --help": ("tools/compare.py", "--help"),
    "evaluate_features.py --help": ("tools/evaluate_features.py", "--help"),
}


def startup_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per command; a size is one of COMMANDS. Help needs argparse alone."""
    if unknown := set(sizes or ()) - set(COMMANDS):
        raise ValueError(f"startup knows no {sorted(unknown)}; its sizes are {list(COMMANDS)}")
    found = []
    for name in sizes or COMMANDS:
        what = "import argparse" if name.endswith("--help") else "import torch"
        found.append(beside_floor(Case("start-up", name, start, COMMANDS[name]), what, partial(start, *FLOORS[what])))
    return found


def start(*arguments: str) -> Work:
    """A Python of its own, to its end, in the checkout's root; a first run, not counted, warms the file cache."""
    command = [sys.executable, *arguments]

    def run() -> None:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    run()
    return Work(run)
