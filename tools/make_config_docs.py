"""Writes docs/configuration.md: every configuration key with its default, range and meaning.

Examples:
    python tools/make_config_docs.py
    python tools/make_config_docs.py --check

Run it after changing xreid_plugin/config.py.
Exit status: 0 done, 1 the file is out of date (--check), 2 a file that cannot be written, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, run_tool, tool_parser

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "configuration.md"
RECIPE = CHECKOUT / "projects" / "XReID" / "configs" / "vcm.yml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks the page; returns the exit status."""
    return run_tool(_parser(), _write_or_check, arguments)


def _write_or_check(args: argparse.Namespace) -> int:
    from xreid_plugin.config_docs import COMMAND, config_page
    from xreid_plugin.files import replace_atomically

    page = config_page(RECIPE)
    if not args.check:
        replace_atomically(args.output, lambda part: part.write_text(page, encoding="utf-8"))
        print(f"Written to {args.output}")
        return 0
    if not args.output.is_file() or args.output.read_text(encoding="utf-8") != page:
        raise ToolFailure(f"{args.output} is not what xreid_plugin/config.py says; run {COMMAND}.")
    print(f"{args.output} is what xreid_plugin/config.py says.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, default=PAGE, metavar="FILE", help="the page (default: docs/configuration.md)")
    add("--check", action="store_true", help="write nothing: only compare")
    return parser


if __name__ == "__main__":
    sys.exit(main())
