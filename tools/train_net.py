"""Trains and evaluates; the command line is the host's."""

import _checkout  # noqa: F401  (puts the checkout on sys.path)

from xreid_plugin.engine.command_line import parse_arguments, run

if __name__ == "__main__":
    run(parse_arguments())
