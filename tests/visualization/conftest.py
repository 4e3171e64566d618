"""The small run and its page, for every test of this folder."""

from tests.visualization.small_run import small_content, small_run  # noqa: F401
