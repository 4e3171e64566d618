"""How every tool tells its user what is wrong: one message on stderr and exit code 2; the traceback where asked for."""

import argparse
import sys
import traceback

USAGE_ERROR = 2


def add_debug_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--debug``, which :func:`report_user_error` heeds."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error as well")


def report_user_error(tool: str, error: Exception, debug: bool) -> int:
    """Prints what is wrong, below its traceback where that is asked for.

    Args:
        tool: name of the command.
        error: whose text is meant for the user.
        debug: whether to print the traceback.

    Returns:
        The exit status, 2.
    """
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    print(f"{tool}: {message_of(error)}", file=sys.stderr)
    return USAGE_ERROR


def message_of(error: Exception) -> str:
    """The text of an error; of a KeyError, which would put it in quotes, the text alone; never empty."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__
