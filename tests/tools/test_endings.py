"""How a tool ends: errors in a line, Ctrl-C, and an output that nobody reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.conftest import TOOLS


@pytest.fixture
def ended(load_tool):
    """Gives the exit status of a tool with some work."""
    command = load_tool("_command")

    def run(work, *arguments):
        parser = command.tool_parser("tools/some_tool.py", "Does something.\n\nExamples:\n")
        return command.run_tool(parser, work, arguments)

    return run


def raising(error):
    def work(args):
        raise error

    return work


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, KeyError])
def test_a_users_error_is_a_line_and_status_2(ended, capsys, kind, debug):
    assert ended(raising(kind("what is wrong")), *(["--debug"] if debug else [])) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1] == "some_tool: what is wrong"
    assert ("Traceback" in error) == debug
    assert debug or error.count("\n") == 1


@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_is_a_line_and_status_1(ended, load_tool, capsys, debug):
    failure = load_tool("_command").ToolFailure("it did not work")
    assert ended(raising(failure), *(["--debug"] if debug else [])) == 1
    error = capsys.readouterr().err
    assert error.splitlines()[-1] == "some_tool: it did not work"
    assert ("Traceback" in error) == debug


def test_options_that_do_not_go_together_are_told_below_the_usage(ended, load_tool, capsys):
    with pytest.raises(SystemExit) as end:
        ended(raising(load_tool("_command").UsageError("not both")))
    assert end.value.code == 2
    usage, *_, last = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: some_tool.py")
    assert last == "some_tool.py: error: not both"


def test_a_fault_of_the_program_keeps_its_traceback(ended):
    with pytest.raises(ZeroDivisionError):
        ended(lambda args: 1 // 0)


def test_the_status_is_the_works(ended):
    assert ended(lambda args: 7) == 7


def test_ctrl_c_is_a_line_and_status_130(ended, capsys):
    assert ended(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "some_tool: interrupted; nothing was left half-written.\n"


PRINTS = """
import sys
sys.path[:0] = sys.argv[1:]
from _command import run_tool, tool_parser
sys.exit(run_tool(tool_parser("some_tool.py", "Prints."), lambda args: print("something") or 0, []))
"""


def printing(output):
    command = [sys.executable, "-W", "error", "-c", PRINTS, str(TOOLS), str(TOOLS.parent)]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=100, check=False)
    return done.stderr, done.returncode


def test_a_reader_that_leaves_ends_a_tool_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    assert printing(writer) == ("", 141)
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file stands for a full disk here")
def test_an_output_on_a_full_disk_is_a_line():
    with Path("/dev/full").open("w") as full:
        assert printing(full) == ("some_tool: No space left on device\n", 2)


def test_ctrl_c_at_a_terminal_leaves_nothing(tmp_path):
    options = ["--train-identities", "40", "--size", "288", "144", "--workers", "2", "--output", str(tmp_path / "set")]
    command = [sys.executable, "-W", "error", str(TOOLS / "make_synthetic_vcm.py"), *options]
    # All processes of a terminal get the signal: a group of their own stands for it.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)
    while process.poll() is None and not any(tmp_path.rglob("*.jpg")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=100)[1]
    assert (error, process.returncode) == ("make_synthetic_vcm: interrupted; nothing was written.\n", 130)
    assert list(tmp_path.iterdir()) == []
