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
    assert ours.pop("imports") == []
    # The host's is a port of the user's number.
    assert ours.pop("dist_url") == "auto"
    del hosts["dist_url"]
    assert ours == hosts


def test_options_may_stand_among_keys(parse_arguments):
    keys = ["SEED", "-1", "DATASETS.ROOT", "/data", "SOLVER.BASE_LR", "-.5"]
    given = [*keys[:2], "--eval-only", *keys[2:4], "--config-file", "a.yml", *keys[4:], "--num-gpus", "2", "--debug"]
    arguments = parse_arguments(given)
    assert arguments.opts == keys
    assert (arguments.config_file, arguments.num_gpus) == ("a.yml", 2)
    assert (arguments.eval_only, arguments.debug, arguments.resume) == (True, True, False)
