"""The memory of what is started, and not of what starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from xreid_plugin.benchmarks.measure import measure
from xreid_plugin.benchmarks.startup import peak_of


def noted_mib(status):
    """What Linux notes of a process, from its start on."""
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mib", [1, 100])
def test_memory_is_that_of_the_command(tmp_path, mib):
    file = tmp_path / "status"
    code = f"held = b'x' * ({mib} << 20); import shutil; shutil.copyfile('/proc/self/status', {str(file)!r})"
    peak = peak_of([sys.executable, "-c", code])
    assert peak == pytest.approx(noted_mib(file), abs=4)
    assert mib < peak < noted_mib(Path("/proc/self/status"))


def test_a_command_that_fails_is_told_of():
    with pytest.raises(subprocess.CalledProcessError, match="status 7"):
        peak_of([sys.executable, "-c", "raise SystemExit(7)"])


def test_its_memory_is_what_is_reported():
    found = measure("xreid_plugin.benchmarks.startup", "command", {"name": "train_net.py --help"}, repeats=1)
    # The process that measures it has imported numpy at least.
    assert 5 < found.peak_mib < 25
    assert found.added_mib is None
