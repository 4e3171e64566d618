"""Progress on a terminal, on one that tells no size, and where there is none."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from xreid_plugin.progress import ProgressBar, duration

WORK = """
from xreid_plugin.progress import ProgressBar
with ProgressBar("Working", 4, "piece") as bar:
    for _ in range(4):
        bar.update()
"""


class Clock:
    """Goes on when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def lines_of(seconds, total, shown=True):
    """What is told of so many pieces of work, each of which takes so long."""
    lines, clock = [], Clock()
    with ProgressBar("Working", total, "piece", tell=lines.append, shown=shown, clock=clock) as bar:
        for _ in range(total):
            clock.now += seconds
            bar.update()
    return lines


def shown_on_terminal(rows, columns):
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        text = b""
        try:
            while part := os.read(reader, 4096):
                text += part
        # How Linux says that nobody has the terminal open any more.
        except OSError:
            pass
    os.close(reader)
    assert process.returncode == 0
    return text.decode()


@pytest.mark.parametrize("size", [(24, 80), (0, 0)], ids=["sized", "without a size"])
def test_a_terminal_has_a_bar_that_goes_away(size):
    text = shown_on_terminal(*size)
    assert "Working:   0%|" in text
    assert "0/4" in text
    assert text.rstrip("\r").rpartition("\r")[2].strip() == ""
    assert "\n" not in text


def test_without_a_terminal_short_work_is_told_nowhere():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert lines_of(1.0, 9) == []


def test_long_work_is_told_after_some_seconds_and_then_every_minute():
    # A second a piece: after 5 of 200, and after 65, 125 and 185.
    assert lines_of(1.0, 200) == [
        "Working: 2% done, about 3 min left",
        "Working: 32% done, about 2 min left",
        "Working: 62% done, about 75 s left",
        "Working: 92% done, about 15 s left",
    ]


def test_lines_go_to_stderr_unless_they_are_taken(capsys):
    clock = Clock()
    with ProgressBar("Working", 100, "piece", clock=clock) as bar:
        clock.now += 10
        bar.update(50)
    assert capsys.readouterr() == ("", "Working: 50% done, about 10 s left\n")


def test_other_processes_are_quiet():
    assert lines_of(1.0, 200, shown=False) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99.4, "99 s"), (120, "2 min"), (5400, "90 min"), (12600, "3.5 h")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text
