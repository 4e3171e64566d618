"""--help of every tool: quick, with examples that its own parser understands, and with what the package really does."""

import re
import shlex
import subprocess
import sys
from typing import get_args
from unittest.mock import patch

import pytest

from projects.SyntheticPeople import SyntheticSettings
from tests.docs.tool_process import parsed
from tests.tools.conftest import TOOLS
from xreid_plugin.evaluation.features import DIRECTIONS
from xreid_plugin.export.check import TOLERANCE
from xreid_plugin.gallery.index import IndexKind
from xreid_plugin.visualization.rank_lists import PICKS

NAMES = sorted(file.stem for file in TOOLS.glob("[a-z]*.py"))
HEAVY = {"torch", "numpy", "fastreid", "xreid_plugin", "tqdm"}


@pytest.mark.parametrize("name", NAMES)
def test_help_imports_nothing_that_it_does_not_need(name):
    command = [sys.executable, "-X", "importtime", str(TOOLS / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not HEAVY & imported
    assert done.stdout.startswith(f"usage: {name}.py ")
    assert "--debug" in done.stdout
    assert "130" in done.stdout


def examples_in(text):
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip().startswith("python tools/"):
            _, script, *arguments = shlex.split(line, comments=True)
            yield script.removeprefix("tools/").removesuffix(".py"), arguments


def help_of(load_tool, name, capsys, *command):
    with patch.object(sys, "argv", [f"{name}.py", *command, "--help"]), pytest.raises(SystemExit) as end:
        load_tool(name).main()
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_understood(name, load_tool, capsys):
    found = list(examples_in(help_of(load_tool, name, capsys)))
    assert name in {tool for tool, _ in found}
    for tool, arguments in found:
        parsed(load_tool(tool), tool, arguments)


def test_choices_and_defaults_that_the_help_tells_are_the_packages(load_tool):
    gallery = load_tool("gallery")
    assert gallery.DIRECTIONS == DIRECTIONS
    assert get_args(IndexKind) == gallery.INDEX_KINDS
    assert load_tool("visualize").PICKS == PICKS
    assert parsed(load_tool("export"), "export", ["model.pth", "--output", "model.onnx"])["tolerance"] == TOLERANCE
    report = parsed(load_tool("report"), "report", ["RUN"])
    usual = {
        name: value for name, value in load_tool("_report_page").page_content.__kwdefaults__.items() if name != "tell"
    }
    assert {name: report[name] for name in usual} == usual
    synthetic = parsed(load_tool("make_synthetic_vcm"), "make_synthetic_vcm", ["--output", "set"])
    known = {name: synthetic[name] for name in SyntheticSettings.__dataclass_fields__ if name in synthetic}
    assert len(known) == 8
    assert SyntheticSettings(**known) == SyntheticSettings()
