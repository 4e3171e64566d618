"""Fixtures that more than one folder of tests uses."""

import pytest
import torch

import xreid_plugin  # noqa: F401  (patches the host before any test imports it)
from tests.data.small_set import write_small_set


@pytest.fixture(scope="module")
def one_thread():
    """Torch adds in the same order as in any other process of one thread, and small work waits for no thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """The root of a small synthetic set in HITSZ-VCM's layout."""
    root = tmp_path_factory.mktemp("sets") / "small"
    write_small_set(root)
    return root
