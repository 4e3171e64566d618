"""The command line of training; what it runs is tested in tests/engine and tests/e2e."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from fastreid.engine import default_argument_parser

TOOL = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"


@pytest.fixture
def parse_arguments(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    spec = importlib.util.spec_from_file_location("train_net", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parse_arguments


def test_options_and_defaults_are_the_hosts(parse_arguments):
    given = ["--config-file", "some.yml"]
    ours, hosts = vars(parse_arguments(given)), vars(default_argument_parser().parse_args(given))
    assert ours.pop("debug") is False
    # The host's is a port of the user's number.
    assert ours.pop("dist_url") == "auto"
    del hosts["dist_url"]
    assert ours == hosts


def test_keys_may_follow(parse_arguments):
    assert parse_arguments(["--config-file", "a.yml", "--resume", "SEED", "1"]).opts == ["SEED", "1"]


def test_the_configuration_is_required(parse_arguments, capsys):
    with pytest.raises(SystemExit) as error:
        parse_arguments(["--resume"])
    assert error.value.code == 2
    assert "--config-file" in capsys.readouterr().err


def test_help_loads_nothing_that_it_does_not_need():
    command = [sys.executable, "-X", "importtime", str(TOOL), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not {"torch", "numpy", "fastreid", "xreid_plugin"} & imported
    assert "exit codes" in done.stdout
