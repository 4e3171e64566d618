import argparse

import pytest
import torch

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine import command_line
from xreid_plugin.host import DeviceLoader

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Failing(torch.utils.data.Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.fixture
def run_that_reads(monkeypatch):
    """Runs what every process runs, over a run that reads a set in some workers."""

    def run(error, workers):
        loader = DeviceLoader(0, dataset=Failing(error), num_workers=workers)
        monkeypatch.setattr(command_line, "_prepared", lambda arguments: lambda: list(loader))
        command_line.train_or_evaluate(argparse.Namespace(debug=False))

    return run


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FrameError("a frame is missing"), 2),
        (FileNotFoundError(2, "No such file or directory", "x.pack"), 1),
        (OSError(24, "Too many open files"), 1),
    ],
    ids=["frame", "missing", "descriptors"],
)
def test_what_is_wrong_with_data_is_one_message(run_that_reads, capsys, error, code, workers):
    with pytest.raises(SystemExit) as end:
        run_that_reads(error, workers)
    assert end.value.code == code
    text = str(error).partition("] ")[2] or str(error)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("train_net: ")
    assert told.endswith(text)


def test_a_workers_value_error_is_about_data_and_ones_own_a_fault_of_the_program(run_that_reads, capsys):
    with pytest.raises(SystemExit) as end:
        run_that_reads(ValueError("odd boxes"), 1)
    assert end.value.code == 2
    assert "train_net: odd boxes\n" in capsys.readouterr().err
    with pytest.raises(ValueError, match="odd boxes"):
        run_that_reads(ValueError("odd boxes"), 0)
