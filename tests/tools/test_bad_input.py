"""Every tool on what is no input: one message, exit code 2, no traceback unless --debug asks for it."""

import importlib.util
import random
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
CONFIG = "projects/XReID/configs/synthetic.yml"


@pytest.fixture
def main(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))

    def main(name, *arguments):
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        try:
            return module.main()
        except SystemExit as end:
            return end.code

    return main


CASES = [
    ("check_dataset", ["--dataset", "HITSZVCM", "--root", "{junk}"]),
    ("check_dataset", ["--dataset", "BUPTCampus", "--root", "{folder}"]),
    ("check_dataset", ["--dataset", "BUPTCampus", "--root", "~nobody-of-this-name"]),
    ("make_synthetic_vcm", ["--output", "{junk}"]),
    ("make_synthetic_vcm", ["--output", "{folder}/new", "--frames", "3", "4"]),
    ("make_synthetic_vcm", ["--output", "{folder}/new", "--size", "-1", "9"]),
    ("make_synthetic_vcm", ["--preview", "{folder}"]),
    ("evaluate_features", ["{junk}"]),
    ("evaluate_features", ["{folder}"]),
    ("evaluate_features", ["{folder}/missing"]),
    ("compare", ["{junk}", "--output", "{folder}/new"]),
    ("compare", ["{folder}/missing.yml", "--output", "{folder}/new"]),
    ("compare", [CONFIG, "--output", "{junk}"]),
    ("compare", [CONFIG, "--output", "{folder}/new", "--overlay", "{junk}"]),
    ("compare", [CONFIG, "--output", "{folder}/new", "--overlay", "{folder}"]),
    ("compare", [CONFIG, "--output", "{folder}/new", "SOLVER.MAX_EPOCHS", "1"]),
    ("benchmark", ["ranking", "--sizes", "axb"]),
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_what_is_no_input_is_one_message(main, tmp_path, capsys, name, arguments, debug):
    junk, folder = tmp_path / "junk.yml", tmp_path / "folder"
    junk.write_bytes(random.Random(0).randbytes(3000))
    folder.mkdir()
    given = [argument.format(junk=junk, folder=folder) for argument in arguments]
    assert main(name, *given, *(["--debug"] if debug else [])) == 2
    message = capsys.readouterr().err
    assert ("Traceback" in message) == debug
    assert message.splitlines()[-1].startswith(f"{name}: ")
    assert debug or len(message.splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_wrong_usage_is_told(main, capsys):
    for name in ("check_dataset", "make_synthetic_vcm", "evaluate_features", "compare", "benchmark"):
        assert main(name, "--no-such-option") == 2
        assert "usage:" in capsys.readouterr().err
