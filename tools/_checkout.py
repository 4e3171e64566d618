"""Puts the checkout on ``sys.path``, so that ``python tools/NAME.py`` works without installing the package.

Clones can then share one virtual environment: nothing in it points at any one of them.
"""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

_program = Path(getattr(sys.modules["__main__"], "__file__", None) or ".").resolve()
if _program.parent == Path(__file__).resolve().parent and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Before a tool's work and after it there is nothing to clean up: Ctrl-C ends the process, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
