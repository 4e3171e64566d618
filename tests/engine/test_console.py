"""What a run prints, through a pipe as through a terminal."""

import argparse
import logging
import os
import sys

import pytest

from xreid_plugin.engine.console import details_to_file


@pytest.fixture
def screens(monkeypatch):
    """The host's logger and ours on a pipe, which stands for standard output; gives them and its reading end."""
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    loggers = [logging.getLogger(name) for name in ("fastreid", "xreid_plugin")]
    handlers = [logging.StreamHandler(stream) for _ in loggers]
    for logger, handler in zip(loggers, handlers, strict=True):
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "propagate", False)
    with os.fdopen(reader) as shown:
        yield *loggers, shown
    stream.close()


def is_stdout(monkeypatch, logger):
    # Not in the fixture: between that and the test pytest puts its own in place.
    monkeypatch.setattr(sys, "stdout", logger.handlers[0].stream)


def test_the_hosts_details_and_what_is_no_news_stay_off_the_screen(screens, monkeypatch):
    host, ours, shown = screens
    is_stdout(monkeypatch, host)
    with details_to_file():
        host.info("the whole environment")
        host.warning("take care")
        ours.info("ready")
    host.info("Start inference on 23 images")
    host.info("Inference done 1/2. 0.1 s / batch.")
    host.info("Total inference time: 0:00:05")
    sys.stdout.close()
    assert shown.read() == "take care\nready\nTotal inference time: 0:00:05\n"


def test_the_host_tells_the_command_as_it_was_typed(screens, monkeypatch, tmp_path):
    host, _, _ = screens
    is_stdout(monkeypatch, host)
    log = logging.FileHandler(tmp_path / "log.txt")
    host.handlers.append(log)
    monkeypatch.setattr(sys, "argv", ["tools/train_net.py", "--config-file", "a b.yml", "SEED", "1"])
    options = argparse.Namespace(config_file="", opts=["SEED", "1"])
    with details_to_file():
        host.info(f"Command line arguments: {options}")
        host.info("Running with full config")
    log.close()
    told = "Command line: python tools/train_net.py --config-file 'a b.yml' SEED 1"
    assert (tmp_path / "log.txt").read_text().splitlines() == [told, "Running with full config"]


def test_a_run_outlives_the_reader_of_its_output(screens, monkeypatch, capfd):
    host, ours, shown = screens
    is_stdout(monkeypatch, host)
    with details_to_file():
        shown.close()
    for number in range(3):
        ours.info(f"line {number}")
        host.info(f"line {number}")
    error = capfd.readouterr().err
    assert error == "Nobody reads the output any more; the run goes on, and log.txt has it all.\n"
