"""Writes docs/configuration.md: every configuration key with its default, range and meaning.

Examples:
    python tools/make_config_docs.py
    python tools/make_config_docs.py --check

Run it after a change of xreid_plugin/config.py. Exit status: 0 done, 1 the file is not what it should be (--check), 2 a
file that cannot be written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)

import xreid_plugin  # noqa: F401  (mends the host)
from xreid_plugin.config_docs import COMMAND, config_page
from xreid_plugin.files import replace_atomically
from xreid_plugin.user_errors import add_debug_flag, report_user_error

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "configuration.md"
RECIPE = CHECKOUT / "projects" / "XReID" / "configs" / "vcm.yml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing: only compare")
    parser.add_argument("--output", type=Path, default=PAGE, metavar="FILE", help="default: docs/configuration.md")
    add_debug_flag(parser)
    args = parser.parse_args(arguments)
    try:
        page = config_page(RECIPE)
        if not args.check:
            replace_atomically(args.output, lambda part: part.write_text(page, encoding="utf-8"))
        elif not args.output.is_file() or args.output.read_text(encoding="utf-8") != page:
            print(f"{args.output} is not what xreid_plugin/config.py says; run {COMMAND}.", file=sys.stderr)
            return 1
    except (OSError, ValueError) as error:
        return report_user_error("make_config_docs", error, args.debug)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
