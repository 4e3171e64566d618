"""Measuring, on work whose time and memory are known."""

import pytest

from xreid_plugin.benchmarks.measure import measure

WORK = """
import sys, time

def hold(mib):
    prepared = b"x" * (100 << 20)
    return lambda: len(b"y" * (mib << 20) + prepared[:1])

def wait(seconds):
    waits = iter(seconds)
    return lambda: time.sleep(next(waits))

def modules():
    return lambda: sys.exit(f"torch: {'torch' in sys.modules}")
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The name of a module that only a new process can import."""
    (tmp_path / "known_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "known_work"


def test_memory_is_that_of_the_work_and_not_of_the_input(work):
    found = measure(work, "hold", {"mib": 64}, repeats=2)
    # The sum is made beside its first part.
    assert 60 < found.added_mib < 140
    assert found.peak_mib > 160
    assert found.runs == 2


def test_time_is_that_of_the_fastest_run(work):
    found = measure(work, "wait", {"seconds": [0.5, 0.01, 0.5]}, repeats=3)
    assert 0.01 <= found.seconds < 0.5
    assert found.runs == 3


def test_the_process_brings_nothing_of_its_own(work):
    with pytest.raises(RuntimeError, match="torch: False"):
        measure(work, "modules", {})


def test_a_failing_process_says_why(work):
    with pytest.raises(RuntimeError, match=r"known_work\.hold.*failed[\s\S]*TypeError"):
        measure(work, "hold", {"nonsense": 1})
