"""The export command, run as a user runs it."""

import io
import json
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import write_checkpoint

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
# The tower alone makes the smallest program.
TOWER = ["MODEL.MII.SII.ENABLED", "False", "MODEL.MII.LII.ENABLED", "False"]


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("export").main


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"), *TOWER)


@pytest.fixture(scope="module")
def exported(main, trained, tmp_path_factory):
    """What the tool printed, and the file that it made."""
    checkpoint, cfg = trained
    folder = tmp_path_factory.mktemp("onnx")
    config = folder / "run.yml"
    config.write_text(cfg.dump())
    file = folder / "logs" / "xreid.onnx"
    settings = ["--settings", "MODEL.WEIGHTS", str(checkpoint), "INPUT.CLIP.FRAMES", "2"]
    with redirect_stdout(io.StringIO()) as told:
        assert main([str(config), "--output", str(file), *settings]) == 0
    return told.getvalue(), file


def test_writes_one_file_and_says_how_near_and_how_fast_it_is(exported):
    told, file = exported
    assert list(file.parent.iterdir()) == [file]
    first, *lines = told.splitlines()
    assert first.startswith(f"{file}: ")
    assert "clips of 2 frames of 48x24 to 192 numbers" in first
    # Of the second table a cell is a median with its quartiles, four words.
    tables = [[line.split() for line in lines if len(line.split()) == columns] for columns in (3, 11)]
    assert [[row[0] for row in table if row[0].isdecimal()] for table in tables] == [["1", "2", "5"], ["1", "8"]]
    assert "tolerance 1e-05" in told


def test_the_snippet_of_the_help_runs_without_torch_and_the_plugin(exported):
    described = (CHECKOUT / "tools" / "export.py").read_text(encoding="utf-8")
    snippet = described[described.index("    import json") : described.index("The metadata also hold")]
    page = (CHECKOUT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert textwrap.dedent(snippet).strip() in page
    finish = (
        "\nimport sys\nprint(json.dumps([similarity.tolist(), sorted({'torch', 'xreid_plugin'} & set(sys.modules))]))"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(snippet) + finish],
        cwd=exported[1].parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    similarity, imported = json.loads(ran.stdout)
    assert imported == []
    np.testing.assert_allclose(np.diagonal(similarity), 1, atol=1e-6)
    # The same clip under a known camera and under none.
    assert similarity[0][1] < 1 - 1e-4


def test_a_missing_library_is_told_before_anything_is_read(main, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["nowhere.pth", "--output", str(tmp_path / "xreid.onnx")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("export: The export needs onnxruntime")
    assert printed.err.endswith("pip install onnx onnxscript onnxruntime\n")
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
