"""Runs the tool's own file in this process: starting another one would mostly import torch."""

import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "make_synthetic_vcm.py"
SMALL = ["--train-identities=1", "--test-identities=1", "--cameras=2", "--tracklets=2", "--frames", "12", "12"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Gives the exit status, standard output and standard error."""
    monkeypatch.syspath_prepend(TOOL.parent)

    def runner(*arguments):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        status = 0
        try:
            runpy.run_path(str(TOOL), run_name="__main__")
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return runner


def test_help_has_examples(run):
    status, shown, _ = run("--help")
    assert status == 0
    assert "python tools/make_synthetic_vcm.py --output" in shown


@pytest.mark.parametrize(("layout", "file"), [("vcm", "info/query_IDX.txt"), ("bupt", "data_paths.json")])
def test_a_set_and_its_preview_are_written_without_a_word(run, tmp_path, layout, file):
    arguments = ["--output", tmp_path / "set", "--preview", tmp_path / "sheet.png", "--layout", layout]
    assert run(*arguments, *SMALL) == (0, "", "")
    assert (tmp_path / "set" / file).is_file()
    assert (tmp_path / "sheet.png").is_file()


def test_overwriting_has_to_be_asked_for(run, tmp_path):
    arguments = ["--output", tmp_path / "set", *SMALL]
    assert run(*arguments)[0] == 0
    assert run(*arguments)[0] == 2
    assert run(*arguments, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "OCCUPIED"], "not empty"),
        (["--output", "OCCUPIED", "--overwrite"], "no synthetic set"),
        (["--output", "OCCUPIED/note"], "not a folder"),
        (["--output", "OCCUPIED/note/set"], "note"),
        (["--output", "OCCUPIED/new", "--cameras", "1"], "cameras must be at least 2"),
        (["--output", "OCCUPIED/new", "--frames", "5", "9"], "fewest must be at least 12"),
        (["--output", "OCCUPIED/new", "--workers", "0"], "workers must be at least 1"),
        (["--output", "OCCUPIED/new", "--layout", "bupt", "--cameras", "7"], "cameras must be at most 6"),
        (["--output", "OCCUPIED/new", "--train-identities", "200000"], "at most"),
        (["--preview", "OCCUPIED/sheet.jpg"], ".png"),
        (["--preview", "OCCUPIED/absent/sheet.png", *SMALL], "absent"),
        ([], "--output"),
    ],
)
def test_a_users_error_is_one_message_and_status_2(run, tmp_path, arguments, message):
    (tmp_path / "note").write_text("mine")
    status, shown, error = run(*(argument.replace("OCCUPIED", str(tmp_path)) for argument in arguments))
    assert (status, shown) == (2, "")
    assert message in error.splitlines()[-1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["note"]
