"""Runs the real tools, with warnings as errors."""

import subprocess
import sys


def run_tool(name, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", f"tools/{name}.py", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
