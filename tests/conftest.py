"""Fixtures that more than one folder of tests uses."""

import pytest

import xreid_plugin  # noqa: F401  (patches the host before any test imports it)
from tests.data.small_set import write_small_set


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """The root of a small synthetic set in HITSZ-VCM's layout."""
    root = tmp_path_factory.mktemp("sets") / "small"
    write_small_set(root)
    return root
