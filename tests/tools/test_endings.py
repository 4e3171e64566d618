"""How a tool ends: errors in a line, Ctrl-C, and an output that nobody reads."""

import builtins
import os
import signal
import subprocess
import sys
import time

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
@pytest.mark.parametrize(("kind", "status"), [("ValueError", 2), ("FileNotFoundError", 2), ("ToolFailure", 1)])
def test_an_error_is_a_line_and_a_status(ended, load_tool, capsys, kind, status, debug):
    error = getattr(load_tool("_command"), kind, None) or getattr(builtins, kind)
    assert ended(raising(error("what is wrong")), *(["--debug"] if debug else [])) == status
    told = capsys.readouterr().err
    assert told.splitlines()[-1] == "some_tool: what is wrong"
    assert ("Traceback" in told) == debug
    assert debug or told.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback(ended):
    with pytest.raises(ZeroDivisionError):
        ended(lambda args: 1 // 0)


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


def test_a_broken_pipe_of_something_else_is_no_quiet_end(ended):
    def work(args):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb", 0) as pipe:
            return pipe.write(b"x")

    with pytest.raises(BrokenPipeError):
        ended(work)


def test_ctrl_c_ends_a_tool(ended, capsys):
    assert ended(lambda args: signal.raise_signal(signal.SIGINT)) == 130
    assert capsys.readouterr().err == "some_tool: interrupted; nothing was left half-written.\n"


SET = ["--train-identities", "40", "--size", "288", "144", "--workers", "2", "--output"]


def at_a_terminal(folder, *options):
    """All processes of a terminal get its Ctrl-C: a group of their own stands for it."""
    command = [sys.executable, "-W", "error", *options, str(TOOLS / "make_synthetic_vcm.py"), *SET, str(folder / "set")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_leaves_nothing(tmp_path):
    with at_a_terminal(tmp_path) as process:
        while process.poll() is None and not any(tmp_path.rglob("*.jpg")):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=100)[1]
    assert (error, process.returncode) == ("make_synthetic_vcm: interrupted; nothing was written.\n", 130)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_midst_of_imports_is_no_traceback(tmp_path):
    with at_a_terminal(tmp_path, "-X", "importtime") as process:
        while "_checkout" not in process.stderr.readline():
            pass
        for _ in range(250):
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
