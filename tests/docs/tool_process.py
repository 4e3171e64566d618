"""Stops a tool once it has read its arguments."""

import argparse
import sys
from contextlib import contextmanager
from unittest.mock import patch


class Parsed(BaseException):
    """Ends a tool once its arguments are read; no tool catches it."""

    def __init__(self, namespace):
        self.namespace = namespace


@contextmanager
def parsers_end():
    """Within it a parser that has read its arguments raises Parsed with them."""
    kinds = ("parse_args", "parse_intermixed_args", "parse_known_args")
    depth = 0

    def ending(original):
        def parse(*args, **kwargs):
            # One calls the other, and a tool's commands have parsers of their own.
            nonlocal depth
            depth += 1
            try:
                found = original(*args, **kwargs)
            finally:
                depth -= 1
            if depth:
                return found
            if isinstance(found, tuple):
                found, found.opts = found
            raise Parsed(found)

        return parse

    with patch.multiple(argparse.ArgumentParser, **{k: ending(getattr(argparse.ArgumentParser, k)) for k in kinds}):
        yield


def parsed(tool, name, arguments):
    """What the parser of a tool, a module, makes of arguments; the tool goes no further."""
    with patch.object(sys, "argv", [f"{name}.py", *arguments]), parsers_end():
        try:
            tool.main()
        except Parsed as stop:
            return vars(stop.namespace)
        except SystemExit as end:
            # As after --help.
            if end.code == 0:
                return {}
            raise
