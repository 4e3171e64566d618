"""Stand-ins, for modules that only this test has."""

import importlib
import sys

import pytest

from xreid_plugin.host.imported import deferred


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package "late_package" with a module "part", neither imported so far."""
    folder = tmp_path / "late_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "part.py").write_text("ANSWER = 43\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("late_package", "late_package.part"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("package")
def test_imported_when_first_used():
    with deferred("late_package", "late_package.part"):
        late_package = importlib.import_module("late_package")
        part = importlib.import_module("late_package.part")
        assert late_package.part is part
    assert not any(name.startswith("late_package") for name in sys.modules)
    assert part.ANSWER == 43
    assert late_package.ANSWER == 42
    assert sys.modules["late_package.part"].ANSWER == 43
