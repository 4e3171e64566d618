"""The small run, for every test of this folder."""

from tests.visualization.small_run import small_run  # noqa: F401
