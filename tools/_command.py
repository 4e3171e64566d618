"""What all tools have in common: the form of their help, and how they end.

Imports nothing but the standard library: --help and wrong usage need not wait for torch.
"""

import argparse
import ast
import importlib.util
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

INTERRUPTED = 130
# As shells count a program that wrote to a pipe that nobody reads any more: 128 and SIGPIPE's number.
NOBODY_READS = 141
FAILED = 1
USAGE_ERROR = 2
# Threads that wait for others by spinning slow a busy machine down several times; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Between two tries to interrupt.
INSISTENCE_SECONDS = 0.2

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
            _import_extensions(args)
            status = work(args)
            # Here, as a full disk below a redirected output is an error of the user's too.
            sys.stdout.flush()
            return status
        except UsageError as error:
            parser.error(str(error))
        except Exception as error:
            if _nothing_is_installed(error):
                print(
                    f"{name}: {error}. Make the environment by `make install`, then: . .venv/bin/activate",
                    file=sys.stderr,
                )
                return USAGE_ERROR
            return _told(name, error, args.debug)

    return ends_well(name, attempt, if_interrupted)


def _import_extensions(args: argparse.Namespace) -> None:
    names = getattr(args, "imports", ())
    if names:
        from xreid_plugin.extensions import import_extensions

        import_extensions(names)


def ends_well(name: str, work: Callable[[], int], if_interrupted: str) -> int:
    """Runs the work; Ctrl-C, and a reader of the output that leaves, end it without a traceback.

    Args:
        name: of the tool.
        work: returns the exit status.
        if_interrupted: what Ctrl-C leaves behind.

    Returns:
        That exit status, 130 or 141.
    """
    message = f"{name}: interrupted; {if_interrupted}.\n"
    with _insisting_on_interrupts(message) as noted:
        try:
            try:
                return work()
            finally:
                # Now, and not at the interpreter's end, which would print what it cannot handle.
                sys.stdout.flush()
        except BrokenPipeError:
            if not _nobody_reads():
                raise
            return NOBODY_READS
        except BaseException as error:
            # What an interrupted import raises can be anything.
            if not noted and not isinstance(error, KeyboardInterrupt):
                raise
            _ignore_interrupts()
            print(message, end="", file=sys.stderr)
            return INTERRUPTED


@contextmanager
def _insisting_on_interrupts(message: str) -> Iterator[list[int]]:
    """Within it, Ctrl-C raises KeyboardInterrupt until something handles it; gives the list of what has come.

    Python drops an exception that a signal's handler raises in a ``__del__``, in a weak reference's callback and in a
    hook of a fork, and imports of C code clear it; a tool would go on to its end. Processes that this one forks leave
    Ctrl-C, which a terminal sends to them too, to this one.

    Args:
        message: for a Ctrl-C that ends the process at once, while it imports the package.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield []
        return
    noted: list[int] = []
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            return
        # Its last line says that all is imported.
        if not hasattr(sys.modules.get("xreid_plugin"), "__version__"):
            # Torch aborts where an exception meets its import, and there is nothing to clean up yet.
            os.write(2, message.encode())
            os._exit(INTERRUPTED)
        noted.append(number)
        signal.setitimer(signal.ITIMER_REAL, INSISTENCE_SECONDS, INSISTENCE_SECONDS)
        raise KeyboardInterrupt

    def insist(number: int, frame: FrameType | None) -> None:
        if not _stems_from_interrupt(sys.exception()):
            raise KeyboardInterrupt

    def tell(lost: Any) -> None:
        # The interrupt itself, or what it left half done.
        if not noted:
            former_hook(lost)

    former_hook, sys.unraisablehook = sys.unraisablehook, tell
    former = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGALRM: signal.signal(signal.SIGALRM, insist),
    }
    try:
        yield noted
    finally:
        _ignore_interrupts()
        for number, handler in former.items():
            signal.signal(number, handler)
        sys.unraisablehook = former_hook


def _ignore_interrupts() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stems_from_interrupt(error: BaseException | None) -> bool:
    """Whether what is being handled, as in a clean-up on the way out, is the interrupt or came of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def docstring_of(module: str) -> str:
    """The docstring of one of the package's modules, which is read and not imported.

    Args:
        module: dotted name.
    """
    file = Path(__file__).resolve().parents[1].joinpath(*module.split(".")).with_suffix(".py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def _told(name: str, error: Exception, debug: bool) -> int:
    """Reports an error that a user can fix; raises any other."""
    if _nobody_reads() and isinstance(error, BrokenPipeError):
        return NOBODY_READS
    from xreid_plugin.user_errors import USER_ERRORS, report_user_error

    if not isinstance(error, (*USER_ERRORS, ToolFailure)):
        raise error
    status = report_user_error(name, error, debug)
    return FAILED if isinstance(error, ToolFailure) else status


def _nothing_is_installed(error: Exception) -> bool:
    """Whether a Python without the environment runs the tool."""
    return isinstance(error, ModuleNotFoundError) and importlib.util.find_spec("torch") is None


def _nobody_reads() -> bool:
    """Whether the pipe of the output is broken; to an output that cannot be written nothing more is."""
    any_broken = False
    for stream in (sys.stdout, sys.stderr):
        # Whoever calls a tool from Python may take what it prints.
        with suppress(io.UnsupportedOperation):
            descriptor = stream.fileno()
            any_broken |= _is_broken(descriptor)
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return any_broken


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
