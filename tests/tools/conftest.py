"""The tools as modules, and the small run, for every test of this folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.visualization.small_run import small_run  # noqa: F401

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="session")
def load_tool():
    """Gives a tool's module by its name, as ``python tools/NAME.py`` finds what stands beside it, also later."""
    loaded = {}

    def load(name):
        if name not in loaded:
            spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
            loaded[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])
        return loaded[name]

    sys.path.insert(0, str(TOOLS))
    yield load
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="session")
def report_page(load_tool):
    return load_tool("_report_page")


@pytest.fixture(scope="session")
def small_content(report_page, small_run):  # noqa: F811
    return report_page.page_content(small_run, [], queries=2, depth=4, people=1)
