"""How every tool reports a user's error: one message on stderr and exit code 2; the traceback where asked for."""

import sys
import traceback

from xreid_plugin.data.frame_reader import FrameError

USAGE_ERROR = 2

# What a user can fix: files, values and keys, the host's registries among them, and frames.
USER_ERRORS = (OSError, ValueError, KeyError, FrameError)


def report_user_error(tool: str, error: Exception, debug: bool) -> int:
    """Prints what is wrong, after its traceback if ``debug``; returns the exit status, 2."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    print(f"{tool}: {message_of(error)}", file=sys.stderr)
    return USAGE_ERROR


def message_of(error: Exception) -> str:
    """The text of an error, without a KeyError's quotes and a system error's number; never empty, and printable."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename!r}" if error.filename else error.strerror
    else:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return "\n".join(map(printable, text.split("\n"))) or type(error).__name__


def printable(text: str) -> str:
    """A text with its line breaks, escape codes and whatever else is not printed written out, as \\n and \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
