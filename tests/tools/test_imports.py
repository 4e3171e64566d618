"""--import: which tools have it, what they then accept, and what they say of a module that is wrong."""

import sys

import pytest
from fastreid.data.datasets import DATASET_REGISTRY

from tests.data.datasets.trees import small_vcm

OWN = """
from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


@DATASET_REGISTRY.register()
class OwnCopy(HITSZVCM):
    pass
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A module that registers the dataset OwnCopy; both are gone after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "own_copy.py"
    file.write_text(OWN)
    yield file
    sys.modules.pop("own_copy", None)
    DATASET_REGISTRY._obj_map.pop("OwnCopy", None)


@pytest.mark.parametrize("tool", ["check_dataset", "pack_dataset"])
def test_a_dataset_of_ones_own_goes_by_its_name(tool, load_tool, own_file, tmp_path, capsys):
    small_vcm(tmp_path / "HITSZ-VCM").write()
    more = ["--output", str(tmp_path / "own.pack")] if tool == "pack_dataset" else ["--no-counts"]
    arguments = ["--root", str(tmp_path), *more, "--import", str(own_file)]
    with pytest.raises(SystemExit) as end:
        load_tool(tool).main(["--dataset", "NotMine", *arguments])
    assert end.value.code == 2
    assert "NotMine" in capsys.readouterr().err
    assert load_tool(tool).main(["--dataset", "OwnCopy", *arguments]) == 0
