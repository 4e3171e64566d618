"""Modules of a user's own: found, imported once, known to all processes, and told of where they are wrong."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.modeling.tiny_model import make_batch, make_cfg
from xreid_plugin.config import DEFAULTS, get_cfg
from xreid_plugin.extensions import import_extensions
from xreid_plugin.host import build_model
from xreid_plugin.predictor import TrackletPredictor
from xreid_plugin.registry import LOSS_REGISTRY
from xreid_plugin.torch_files import WeightFileError

LOSS = """
from fastreid.config import CfgNode

from xreid_plugin.config import DEFAULTS
from xreid_plugin.registry import LOSS_REGISTRY

DEFAULTS.MODEL.LOSSES.OWN_LENGTH = CfgNode({"SCALE": 1.0})


@LOSS_REGISTRY.register()
class OwnLength:
    def __init__(self, cfg):
        self.scale = cfg.MODEL.LOSSES.OWN_LENGTH.SCALE

    def __call__(self, outputs):
        return {"loss_own_length": self.scale * outputs.tower_feature.norm(dim=1).mean()}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file into the working folder, and gives its path; what it brings in is gone after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    forget()


def forget():
    sys.modules.pop("own_length", None)
    DEFAULTS.MODEL.LOSSES.pop("OWN_LENGTH", None)
    LOSS_REGISTRY._obj_map.pop("OwnLength", None)


def test_a_module_is_imported_once_by_whatever_name(write):
    file = write("own_note.py", "with open('notes', 'a') as notes:\n    notes.write('x')\n")
    import_extensions(["own_note.py", str(file), "own_note", "./own_note.py"])
    import_extensions([str(file)])
    assert Path("notes").read_text() == "x"


def test_a_module_of_a_package_is_found_from_the_working_folder_first(write):
    write("colorsys.py", "MINE = True\n")
    sys.modules.pop("colorsys", None)
    write("own_package/__init__.py", "")
    write("own_package/losses.py", "from colorsys import MINE\n")
    import_extensions(["own_package.losses"])
    assert sys.modules["own_package.losses"].MINE


@pytest.mark.parametrize("name", ["own_wrong.py", "own_wrong", "none.py", "own_none"])
def test_what_fails_or_is_no_module_is_refused(write, name):
    write("own_wrong.py", "a = 1\nraise RuntimeError('not today')\n")
    with pytest.raises(ValueError, match=rf"^--import {name}: ") as error:
        import_extensions([name])
    assert ("own_wrong.py, line 2" in str(error.value)) == ("wrong" in name)


def test_a_process_that_is_started_anew_finds_it(write):
    import_extensions([str(write("mine/own_answer.py", "ANSWER = 42\n"))])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(eval, "__import__('own_answer').ANSWER").result(timeout=60) == 42


def test_a_checkpoint_and_a_configuration_ask_for_it(write):
    file = write("own_length.py", LOSS)
    import_extensions([str(file)])
    cfg = make_cfg(**{"MODEL.LOSSES.NAME": ["CPCL", "OwnLength"], "INPUT.SIZE_TEST": [32, 16]})
    model = build_model(cfg)
    assert "loss_own_length" in model.train()(make_batch())
    torch.save({"model": model.state_dict(), "config": cfg.dump()}, "own.pth")
    Path("config.yaml").write_text(cfg.dump())
    forget()
    with pytest.raises(ValueError, match=r"config\.yaml: MODEL\.LOSSES\.OWN_LENGTH.* --import"):
        get_cfg().merge_from_file("config.yaml")
    with pytest.raises(WeightFileError, match=r"MODEL\.LOSSES\.OWN_LENGTH.* --import"):
        TrackletPredictor("own.pth", "cpu")
    import_extensions([str(file)])
    assert TrackletPredictor("own.pth", "cpu").dimensions > 0
