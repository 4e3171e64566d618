"""What a run prints, through a pipe as through a terminal."""

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
    monkeypatch.setattr(sys, "stdout", stream)
    loggers = [logging.getLogger(name) for name in ("fastreid", "xreid_plugin")]
    handlers = [logging.StreamHandler(stream) for _ in loggers]
    for logger, handler in zip(loggers, handlers, strict=True):
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "propagate", False)
    yield *loggers, os.fdopen(reader)
    stream.close()


def test_the_hosts_details_and_what_is_no_news_stay_off_the_screen(screens):
    host, ours, shown = screens
    with details_to_file():
        host.info("the whole environment")
        host.warning("take care")
        ours.info("ready")
    host.info("Start inference on 23 images")
    host.info("Inference done 1/2")
    sys.stdout.close()
    assert shown.read() == "take care\nready\nInference done 1/2\n"
    shown.close()


def test_a_run_outlives_the_reader_of_its_output(screens, capfd):
    host, ours, shown = screens
    with details_to_file():
        shown.close()
    for number in range(3):
        ours.info(f"line {number}")
        host.info(f"line {number}")
    error = capfd.readouterr().err
    assert error == "Nobody reads the output any more; the run goes on, and log.txt has it all.\n"
