import re
from pathlib import Path

import pytest

from tests.e2e.commands import run_tool
from xreid_plugin import config, config_docs
from xreid_plugin.config_docs import HOST_KEYS, config_page, documented_groups
from xreid_plugin.config_merge import leaves

RECIPE = Path("projects/XReID/configs/vcm.yml")
PAGE = Path("docs/configuration.md")


def documented():
    return {
        name: value for keys in documented_groups().values() for entry in keys for name, value in entry.keys.items()
    }


def test_the_page_in_the_repository_is_what_the_tool_makes():
    assert PAGE.read_text(encoding="utf-8") == config_page(RECIPE), "run python tools/make_config_docs.py"


def test_every_key_of_the_plugin_is_documented_with_its_default():
    added = config.CfgNode({"DATASETS": {}, "DATALOADER": {}, "INPUT": {"REA": {}}, "SOLVER": {"AMP": {}}})
    added.MODEL = config.CfgNode({"BACKBONE": {}, "LOSSES": {"CE": {}}})
    added.TEST = config.CfgNode({"RERANK": {}})
    config.add_xreid_config(added)
    assert documented() == dict(leaves(added))


def test_host_keys_are_the_hosts_and_every_one_of_the_recipe_is_among_them():
    known = dict(leaves(config.get_cfg()))
    assert HOST_KEYS.keys() <= known.keys() - documented().keys()
    shown = re.findall(r"^\| `([A-Z._0-9]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(HOST_KEYS) <= set(shown)


def test_a_key_of_the_recipe_without_an_explanation_is_an_error(monkeypatch):
    monkeypatch.setattr(config_docs, "HOST_KEYS", {k: v for k, v in HOST_KEYS.items() if k != "SOLVER.OPT"})
    with pytest.raises(ValueError, match=r"sets SOLVER\.OPT, which HOST_KEYS"):
        config_page(RECIPE)


def test_a_key_without_a_comment_is_an_error(monkeypatch):
    source = "def _add_some(cfg):\n    # Known.\n    cfg.SOLVER.ONE = 1\n    cfg.SOLVER.TWO = 2\n"
    monkeypatch.setattr(config_docs.inspect, "getsource", lambda _: source)
    with pytest.raises(ValueError, match=r"line 4: cfg\.SOLVER\.TWO = 2 has no comment"):
        documented_groups()


def test_names_that_stand_for_nodes_and_comments_of_several_lines_are_followed(monkeypatch):
    source = (
        "def _add_some(cfg):\n"
        "    one = cfg.MODEL.ONE\n"
        "    two = cfg.MODEL.TWO = CfgNode()\n"
        "    # First line,\n"
        "    # second line.\n"
        "    one.KEY = 'a'\n"
        "    # Both.\n"
        "    two.BOTH = CfgNode({'A': 1, 'B': [2.5]})\n"
    )
    monkeypatch.setattr(config_docs.inspect, "getsource", lambda _: source)
    assert documented_groups() == {
        "Some": [
            ({"MODEL.ONE.KEY": "a"}, "First line, second line."),
            ({"MODEL.TWO.BOTH.A": 1, "MODEL.TWO.BOTH.B": [2.5]}, "Both."),
        ]
    }


def test_the_tool_tells_an_old_page_from_a_new_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("old\n")
    checked = run_tool("make_config_docs", "--check", "--output", str(page))
    assert (checked.returncode, page.read_text()) == (1, "old\n")
    assert "run python tools/make_config_docs.py" in checked.stderr
    assert run_tool("make_config_docs", "--output", str(page)).returncode == 0
    assert page.read_text(encoding="utf-8") == config_page(RECIPE)
