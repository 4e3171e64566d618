"""The small run and its page, for every test of this folder."""

import pytest

from tests.visualization.small_run import small_run  # noqa: F401
from xreid_plugin.visualization.page import page_content


@pytest.fixture(scope="session")
def small_content(small_run):  # noqa: F811
    return page_content(small_run, [], queries=2, depth=4, people=1)
