"""Puts the checkout on ``sys.path``, so that ``python tools/NAME.py`` works without installing the package.

Clones can then share one virtual environment: nothing in it points at any one of them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
