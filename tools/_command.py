"""What all tools have in common: the form of their help, and how they end.

Imports nothing but the standard library: --help and wrong usage need not wait for torch.
"""

import argparse
import ast
import importlib.util
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

INTERRUPTED = 130
# As shells count a program that wrote to a pipe that nobody reads any more: 128 and SIGPIPE's number.
NOBODY_READS = 141
FAILED = 1
USAGE_ERROR = 2
# Threads that wait for others by spinning slow a busy machine down several times; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Work = Callable[[argparse.Namespace], int]
Read = Callable[[Sequence[str] | None], argparse.Namespace]


class UsageError(Exception):
    """Options that do not go together; reported below the usage, as argparse reports other errors."""


class ToolFailure(Exception):
    """The usage was right, but the work failed: exit status 1."""


def tool_parser(file: str, text: str | None, more: str = "", usage: str | None = None) -> argparse.ArgumentParser:
    """A parser with ``--debug`` that shows the first paragraph of a text above the options, and the rest below.

    Args:
        file: of the tool.
        text: its docstring.
        more: further text for the end.
        usage: in place of argparse's.
    """
    summary, _, rest = (text or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=Path(file).name,
        usage=usage,
        description=summary,
        epilog=rest + (f"\n{more}" if more else ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_debug(parser)
    return parser


def add_debug(parser: argparse.ArgumentParser, default: object = False) -> None:
    """Adds ``--debug``; a tool with commands has it on each, with argparse.SUPPRESS for a default."""
    text = "show the traceback of an error as well"
    parser.add_argument("--debug", action="store_true", default=default, help=text)


def run_tool(
    parser: argparse.ArgumentParser,
    work: Work,
    arguments: Sequence[str] | None,
    read: Read | None = None,
    if_interrupted: str = "nothing was left half-written",
) -> int:
    """Reads the arguments and works; reports a user's error in one message, without a traceback.

    Args:
        parser: of the tool.
        work: takes the arguments and returns the exit status; prints what it made.
        arguments: None for those of the process.
        read: in place of the parser's ``parse_args``.
        if_interrupted: what Ctrl-C leaves behind.

    Returns:
        The exit status: that of the work, 1 for a ToolFailure, 2 for other errors that a user can fix, 130 for Ctrl-C,
        141 where nobody reads what is printed.

    Raises:
        Exception: a fault of the program, which needs its traceback.
    """
    name = Path(parser.prog).stem

    def attempt() -> int:
        args = (read or parser.parse_args)(arguments)
        try:
            if names := getattr(args, "imports", ()):
                from xreid_plugin.extensions import import_extensions

                import_extensions(names)
            return work(args)
        except UsageError as error:
            parser.error(str(error))
        except Exception as error:
            return _told(name, error, args.debug)

    return ends_well(name, attempt, if_interrupted)


def ends_well(name: str, work: Callable[[], int], if_interrupted: str) -> int:
    """Runs the work; Ctrl-C, and a reader of the output that leaves, end it without a traceback.

    Processes that this one forks leave Ctrl-C, which a terminal sends to them too, to this one.

    Args:
        name: of the tool.
        work: returns the exit status.
        if_interrupted: what Ctrl-C leaves behind.

    Returns:
        That exit status, 130 or 141.
    """
    message = f"{name}: interrupted; {if_interrupted}.\n"
    noted, owner = [], os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            return
        # Its last line says that all is imported.
        if not hasattr(sys.modules.get("xreid_plugin"), "__version__"):
            # Torch aborts where an exception meets its import, and there is nothing to clean up yet.
            os.write(2, message.encode())
            os._exit(INTERRUPTED)
        noted.append(number)
        raise KeyboardInterrupt

    former = signal.getsignal(signal.SIGINT)
    if former is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    try:
        status = work()
        # Now, and not at the interpreter's end, which would print what it cannot handle.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        broken = _broken_outputs()
        # Any other pipe, such as a worker's, is a failure.
        if not broken:
            raise
        for descriptor in broken:
            # What is left of the output is for nobody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        return NOBODY_READS
    except BaseException as error:
        # What an interrupted import raises can be anything.
        if not noted and not isinstance(error, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(message, end="", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, former)


def _broken_outputs() -> list[int]:
    """Those of stdout and stderr that nobody reads any more."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return [descriptor for descriptor, events in poll.poll(0) if events & select.POLLERR]


def docstring_of(module: str) -> str:
    """The docstring of one of the package's modules, which is read and not imported.

    Args:
        module: dotted name.
    """
    file = Path(__file__).resolve().parents[1].joinpath(*module.split(".")).with_suffix(".py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def _told(name: str, error: Exception, debug: bool) -> int:
    """Reports an error that a user can fix; raises any other."""
    if isinstance(error, BrokenPipeError):
        raise error
    if isinstance(error, ModuleNotFoundError) and importlib.util.find_spec("torch") is None:
        # A Python without the environment runs the tool.
        print(f"{name}: {error}. Make the environment by `make install`, then: . .venv/bin/activate", file=sys.stderr)
        return USAGE_ERROR
    from xreid_plugin.user_errors import USER_ERRORS, report_user_error

    if not isinstance(error, (*USER_ERRORS, ToolFailure)):
        raise error
    status = report_user_error(name, error, debug)
    return FAILED if isinstance(error, ToolFailure) else status
