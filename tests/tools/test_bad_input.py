"""Every tool on what is no input: one message and exit code 2."""

import random
import subprocess
import sys

import pytest

CONFIG = "projects/XReID/configs/synthetic.yml"


@pytest.fixture
def main(load_tool, monkeypatch):
    def main(name, *arguments):
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        try:
            return load_tool(name).main()
        except SystemExit as end:
            return end.code

    return main


CASES = [
    ("check_dataset", ["--dataset", "HITSZVCM", "--root", "{junk}"]),
    ("make_synthetic_vcm", ["--output", "{folder}/new", "--frames", "3", "4"]),
    ("make_synthetic_vcm", ["--preview", "{folder}/sheet.jpg"]),
    ("evaluate_features", ["{junk}"]),
    ("compare", ["{folder}/missing.yml", "--output", "{folder}/new"]),
    ("compare", [CONFIG, "--output", "{folder}/new", "SOLVER.MAX_EPOCHS", "1"]),
    ("benchmark", ["ranking", "--sizes", "axb"]),
    ("export", ["{junk}", "--output", "{folder}/model.onnx"]),
    ("export", ["{folder}", "--output", "{folder}/model.onnx"]),
    ("gallery", ["query", "{folder}", "--features", "{junk}"]),
    ("gallery", ["build", "{folder}/new", "--frames", "{folder}", "--checkpoint", "{junk}"]),
    ("make_config_docs", ["--output", "{junk}/page.md"]),
    ("pack_dataset", ["--dataset", "HITSZVCM", "--root", "{folder}", "--output", "{folder}/new.pack"]),
    ("report", ["{folder}"]),
    ("train_net", ["--config-file", "{junk}"]),
    ("train_net", ["--config-file", CONFIG, "MODEL.DEVICE", "cpu", "OUTPUT_DIR", "{junk}"]),
    ("train_net", ["--config-file", CONFIG, "DATASETS.ROOT", "{folder}", "OUTPUT_DIR", "{folder}/../run"]),
    ("train_net", ["--config-file", CONFIG, "SOLVER.NO_SUCH_KEY", "1", "OUTPUT_DIR", "{folder}/new"]),
    ("visualize", ["embedding", "{junk}", "--output", "{folder}/new/a.png"]),
    ("visualize", ["attention", "--config-file", "{junk}"]),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_what_is_no_input_is_one_message(main, tmp_path, capsys, name, arguments):
    junk, folder = tmp_path / "junk.yml", tmp_path / "folder"
    junk.write_bytes(random.Random(0).randbytes(3000))
    folder.mkdir()
    assert main(name, *(argument.format(junk=junk, folder=folder) for argument in arguments)) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"{name}: ")
    assert list(folder.iterdir()) == []


# The last word is what the message names.
WRONG_USAGE = [
    ("benchmark", ["speed"]),
    ("benchmark", ["ranking", "--repeats", "0"]),
    ("check_dataset", ["--dataset", "Market1501"]),
    ("check_dataset", ["--dataset", "HITSZVCM", "--auxiliary"]),
    ("evaluate_features", ["f.npz", "--k1", "0"]),
    ("evaluate_features", ["f.npz", "--lambda", "1.5"]),
    ("make_synthetic_vcm", ["--output"]),
    ("pack_dataset", ["--dataset", "HITSZVCM", "--output", "x", "--frames", "0x144"]),
    ("train_net", ["--config-file", "a.yml", "SEED", "1", "--eval"]),
    ("visualize", ["embedding", "f.npz", "--output", "a.gif"]),
]


@pytest.mark.parametrize(("name", "arguments"), WRONG_USAGE)
def test_wrong_usage_is_named_below_the_usage(main, capsys, name, arguments):
    assert main(name, *arguments) == 2
    usage, *_, message = capsys.readouterr().err.splitlines()
    assert usage.startswith(f"usage: {name}.py")
    assert arguments[-1] in message


def test_without_the_environment_a_tool_says_how_to_get_it():
    # -S leaves out the folder of installed packages.
    command = [sys.executable, "-S", "tools/evaluate_features.py", "x.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make install" in done.stderr
    assert "Traceback" not in done.stderr
