"""Every tool on what is no input: one message, exit code 2, no traceback unless --debug asks for it."""

import random

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
    ("export", ["{junk}", "--output", "{folder}/model.onnx"]),
    ("export", ["{folder}/missing.pth", "--output", "{folder}/model.onnx"]),
    ("gallery", ["info", "{junk}"]),
    ("gallery", ["query", "{folder}", "--features", "{junk}"]),
    ("gallery", ["build", "{folder}/new", "--features", "{junk}"]),
    ("gallery", ["build", "{folder}/new", "--frames", "{folder}", "--checkpoint", "{junk}"]),
    ("make_config_docs", ["--output", "{junk}/page.md"]),
    ("make_config_docs", ["--output", "{folder}"]),
    ("pack_dataset", ["--dataset", "HITSZVCM", "--root", "{folder}", "--output", "{folder}/new.pack"]),
    ("pack_dataset", ["--dataset", "HITSZVCM", "--root", "{folder}", "--output", "{junk}"]),
    ("report", ["{junk}"]),
    ("report", ["{folder}"]),
    ("train_net", ["--config-file", "{junk}"]),
    ("train_net", ["--config-file", "{folder}"]),
    ("train_net", ["--config-file", CONFIG, "MODEL.DEVICE", "cpu", "OUTPUT_DIR", "{junk}"]),
    ("visualize", ["embedding", "{junk}"]),
    ("visualize", ["embedding", "{folder}"]),
    ("visualize", ["attention", "--config-file", "{junk}"]),
    ("visualize", ["curves", "{folder}"]),
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_what_is_no_input_is_one_message(main, tmp_path, capsys, name, arguments, debug):
    junk, folder = tmp_path / "junk.yml", tmp_path / "folder"
    junk.write_bytes(random.Random(0).randbytes(3000))
    folder.mkdir()
    given = [argument.format(junk=junk, folder=folder) for argument in arguments]
    assert main(name, *(["--debug"] if debug else []), *given) == 2
    message = capsys.readouterr().err
    assert ("Traceback" in message) == debug
    assert message.splitlines()[-1].startswith(f"{name}: ")
    assert debug or len(message.splitlines()) == 1
    assert list(folder.iterdir()) == []
