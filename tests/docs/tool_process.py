"""Runs a tool within this process, or stops it once it has read its arguments."""

import argparse
import io
import runpy
import signal
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from tests.docs.markdown import CHECKOUT


class Parsed(BaseException):
    """Ends a tool once its arguments are read; no tool catches it."""

    def __init__(self, namespace):
        self.namespace = namespace


@contextmanager
def parsers_end():
    """Within it a parser that has read its arguments raises Parsed with them."""
    kinds = ("parse_args", "parse_intermixed_args", "parse_known_args")
    originals = {name: getattr(argparse.ArgumentParser, name) for name in kinds}
    depth = 0

    def ending(original):
        def parse(*args, **kwargs):
            # They call one another, and a tool's commands have parsers of their own.
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

    for name, original in originals.items():
        setattr(argparse.ArgumentParser, name, ending(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(argparse.ArgumentParser, name, original)


def execute(script, arguments):
    """The tool as ``python tools/NAME.py`` runs it, in this process: its status, and the end of what it said."""
    handler, said = signal.getsignal(signal.SIGTERM), io.StringIO()
    with _arguments([script, *arguments]), redirect_stdout(said), redirect_stderr(said):
        try:
            runpy.run_path(str(CHECKOUT / script), run_name="__main__")
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        finally:
            signal.signal(signal.SIGTERM, handler)
    return status, said.getvalue()


@contextmanager
def _arguments(words):
    before, path = sys.argv, list(sys.path)
    sys.argv = words
    sys.path.insert(0, str(CHECKOUT / "tools"))
    try:
        yield
    finally:
        sys.argv = before
        sys.path[:] = path
