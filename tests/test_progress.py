"""Progress on a terminal, and where there is none."""

import os
import pty
import subprocess
import sys

from xreid_plugin import progress
from xreid_plugin.progress import ProgressBar, duration

WORK = """
from xreid_plugin.progress import ProgressBar
with ProgressBar("Working", 4, "piece") as bar:
    for _ in range(4):
        bar.update()
"""


def test_a_terminal_has_a_bar_that_goes_away():
    reader, terminal = pty.openpty()
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
    assert b"Working:   0%|" in text
    assert b"\n" not in text
    assert text.rstrip(b"\r").rpartition(b"\r")[2].strip() == b""


def test_short_work_is_told_nowhere_without_a_terminal():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_long_work_has_lines_but_on_other_processes(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    lines = []
    for shown in (True, False):
        with ProgressBar("Working", 4, "piece", tell=lines.append, shown=shown) as bar:
            bar.update()
            bar.update(3)
    assert [line.partition(",")[0] for line in lines] == ["Working: 25% done", "Working: 100% done"]
    assert capsys.readouterr() == ("", "")


def test_durations_are_for_people():
    assert [duration(seconds) for seconds in (0.4, 99.4, 120, 5400, 12600)] == [
        "0 s",
        "99 s",
        "2 min",
        "90 min",
        "3.5 h",
    ]
