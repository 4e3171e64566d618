"""The command line of training; what it runs is tested in tests/engine and tests/e2e."""

import pytest
from fastreid.engine import default_argument_parser


@pytest.fixture(scope="module")
def parse_arguments(load_tool):
    return load_tool("train_net").parse_arguments


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
