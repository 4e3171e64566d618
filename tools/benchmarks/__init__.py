"""What tools/benchmark.py measures, one function NAME_cases for each name."""

import xreid_plugin  # noqa: F401  (patches the host before a benchmark imports it)
