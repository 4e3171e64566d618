import argparse

import pytest
import torch

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine import command_line
from xreid_plugin.engine.launch import check_processes
from xreid_plugin.host import DeviceLoader

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Failing(torch.utils.data.Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "code"), [(FrameError("a frame is missing"), 2), (FileNotFoundError(2, "No such file", "x.pack"), 1)]
)
def test_what_is_wrong_with_data_is_one_message(monkeypatch, capsys, error, code, workers):
    loader = DeviceLoader(0, dataset=Failing(error), num_workers=workers)
    monkeypatch.setattr(command_line, "_prepared", lambda arguments: lambda: list(loader))
    with pytest.raises(SystemExit) as end:
        command_line.train_or_evaluate(argparse.Namespace(debug=False))
    assert end.value.code == code
    text = str(error).partition("] ")[2] or error  # without "[Errno 2]"
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("train_net: ")
    assert told.endswith(str(text))


def options(processes=1, machines=1, url="auto"):
    return argparse.Namespace(num_gpus=processes, num_machines=machines, machine_rank=0, dist_url=url)


@pytest.mark.parametrize(("given", "named"), [(options(999), "--num-gpus"), (options(1, 2), "--dist-url")])
def test_options_that_do_not_fit_are_named(given, named):
    with pytest.raises(ValueError, match=named):
        check_processes(given, on_cuda=given.num_gpus > 1)
