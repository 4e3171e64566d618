"""The tools as modules, and the small run, for every test of this folder."""

import importlib.util
from pathlib import Path

import pytest

from tests.visualization.small_run import small_run  # noqa: F401

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="session")
def load_tool():
    """Gives a tool's module by its name, as ``python tools/NAME.py`` finds what stands beside it."""
    loaded = {}

    def load(name):
        if name not in loaded:
            spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            with pytest.MonkeyPatch.context() as patch:
                patch.syspath_prepend(str(TOOLS))
                spec.loader.exec_module(module)
            loaded[name] = module
        return loaded[name]

    return load
