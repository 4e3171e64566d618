import os
import signal

import pytest
import torch

from xreid_plugin.host import DeviceLoader
from xreid_plugin.loader_errors import WorkerDiedError, from_worker, loader_errors_told

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Deadly(torch.utils.data.Dataset):
    """Its fourth item does to whoever reads it what it is told."""

    def __init__(self, deed):
        self.deed = deed

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.deed() if index == 3 else index


def kill(number):
    os.kill(os.getpid(), number)


def unsendable():
    """A worker hands over what it collates; no queue can pickle a function without a name."""
    return lambda: None


def worker_of(dataset, **options):
    return DeviceLoader(0, dataset=dataset, batch_size=1, num_workers=2, **options)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, r"Worker \d+ of the data loader was ended by a signal \(Killed\)\. .* memory is likely short"),
        (
            signal.SIGBUS,
            r"Worker \d+ of the data loader was ended by a bus error: workers hand batches over in /dev/shm",
        ),
    ],
)
def test_a_killed_worker_is_named_with_the_remedy(number, words):
    loader = worker_of(Deadly(lambda: kill(number)))
    with pytest.raises(WorkerDiedError, match=words) as error, loader_errors_told():
        list(loader)
    for part in ("DATALOADER.NUM_WORKERS", "DATALOADER.PREFETCH", "--shm-size", "--resume"):
        assert part in str(error.value)


def test_a_worker_that_cannot_hand_a_batch_over_ends_rather_than_being_waited_for(capfd):
    class Plain(Deadly):
        collate_fn = staticmethod(list)

    with pytest.raises(WorkerDiedError, match="could not hand over a batch"), loader_errors_told():
        list(worker_of(Plain(unsendable)))
    assert "A worker of the data loader could not send a batch: " in capfd.readouterr().err


class FoundError(RuntimeError):
    pass


def test_an_error_of_a_worker_comes_as_it_was_raised():
    def fail():
        raise FoundError("this is: what is wrong")

    with pytest.raises(FoundError) as error:
        list(worker_of(Deadly(fail)))
    assert str(error.value) == "this is: what is wrong"
    assert "in fail" in str(error.value.__cause__)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "frame.jpg"),
        OSError(24, "Too many open files"),
        ValueError("OSError: is what this is not"),
        ValueError("x.pack was cut off"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_workers_error_is_told_without_its_traceback(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as told:
        list(worker_of(Deadly(fail)))
    assert str(told.value) == str(error)
    assert from_worker(told.value)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match=r"^something else$"), loader_errors_told():
        raise RuntimeError("something else")
