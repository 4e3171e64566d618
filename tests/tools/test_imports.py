"""--import: which tools have it, what they then accept, and what they say of a module that is wrong."""

import sys

import pytest
from fastreid.data.datasets import DATASET_REGISTRY

from tests.data.datasets.trees import small_vcm
from tests.docs.tool_process import Parsed, parsers_end

OWN = """
from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


@DATASET_REGISTRY.register()
class OwnCopy(HITSZVCM):
    pass
"""
NEEDED = {
    "train_net": ["--config-file", "a.yml"],
    "compare": ["a.yml", "--output", "logs"],
    "check_dataset": ["--dataset", "Own"],
    "pack_dataset": ["--dataset", "Own", "--output", "a.pack"],
    "visualize ranks": ["a.npz", "--config-file", "a.yml"],
    "visualize attention": ["--config-file", "a.yml"],
    "report": ["RUN"],
    "gallery build": ["gallery", "--dataset", "Own"],
    "gallery add": ["gallery", "--dataset", "Own"],
    "gallery query": ["gallery", "--frames", "folder"],
    "export": ["model.pth", "--output", "model.onnx"],
}


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A module that registers the dataset OwnCopy; both are gone after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "own_copy.py"
    file.write_text(OWN)
    yield file
    sys.modules.pop("own_copy", None)
    DATASET_REGISTRY._obj_map.pop("OwnCopy", None)


@pytest.mark.parametrize("command", NEEDED)
def test_a_tool_that_reads_data_or_builds_models_has_it(command, load_tool, monkeypatch):
    name, *more = command.split()
    words = [*more, *NEEDED[command], "--import", "one.py", "--import", "two.three"]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    with parsers_end(), pytest.raises(Parsed) as stop:
        load_tool(name).main()
    assert stop.value.namespace.imports == ["one.py", "two.three"]


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


def test_a_module_that_fails_is_a_line_and_status_2(load_tool, own_file, capsys):
    own_file.write_text("raise ValueError('not today')\n")
    assert load_tool("report").main(["RUN", "--import", str(own_file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{own_file}, line 1" in line
