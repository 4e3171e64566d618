"""How a tool ends: errors in a line, Ctrl-C, and an output that nobody reads."""

import os
import signal
import subprocess
import sys
import threading
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


class Fragile:
    """Python drops whatever is raised while such an object is removed."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_tool_even_where_python_drops_its_exception(ended, capsys):
    went_on = []

    def work(args):
        Fragile()
        went_on.append(True)
        return int(threading.Event().wait(60))

    assert ended(work) == 130
    assert went_on
    assert capsys.readouterr().err == "some_tool: interrupted; nothing was left half-written.\n"


def test_ctrl_c_does_not_disturb_the_clean_up_of_the_first(ended):
    steps = []

    def work(args):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            threading.Event().wait(0.7)
            steps.append("cleaned up")

    assert ended(work) == 130
    assert steps == ["cleaned up"]


def test_after_a_tool_the_signals_are_as_before(ended):
    def handlers():
        return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook

    before = handlers()
    ended(raising(KeyboardInterrupt()))
    assert handlers() == before


SET = ["--train-identities", "40", "--size", "288", "144", "--workers", "2", "--output"]


def at_a_terminal(folder, *options):
    """All processes of a terminal get its Ctrl-C: a group of their own stands for it."""
    command = [sys.executable, "-W", "error", *options, str(TOOLS / "make_synthetic_vcm.py"), *SET, str(folder / "set")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)


def test_ctrl_c_at_a_terminal_leaves_nothing(tmp_path):
    with at_a_terminal(tmp_path) as process:
        while process.poll() is None and not any(tmp_path.rglob("*.jpg")):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=100)[1]
    assert (error, process.returncode) == ("make_synthetic_vcm: interrupted; nothing was written.\n", 130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [0, 250, 1000])
def test_ctrl_c_in_the_midst_of_imports_is_no_traceback(tmp_path, more):
    with at_a_terminal(tmp_path, "-X", "importtime") as process:
        while "_checkout" not in process.stderr.readline():
            pass
        for _ in range(more):
            process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        said = [
            line for line in process.communicate(timeout=100)[1].splitlines() if not line.startswith("import time:")
        ]
    # At first the signal itself ends the process.
    assert (said, process.returncode) in [
        ([], -signal.SIGINT),
        (["make_synthetic_vcm: interrupted; nothing was written."], 130),
    ]
    assert list(tmp_path.iterdir()) == []
