"""The workers of a loader: how long they stay, and how they end."""

import gc
import os
import signal
import subprocess
import sys
from multiprocessing import util
from pathlib import Path

import cv2
import pytest
import torch

from xreid_plugin.host import DeviceLoader
from xreid_plugin.loader_errors import WorkerDiedError

# Of no account here: a machine of one core, and a Python that would rather not fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Readers(torch.utils.data.Dataset):
    """Ten items; each tells which process reads it, and with how many threads."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        tasks = Path("/proc/self/task")
        threads = len(list(tasks.iterdir())) if tasks.exists() else 1
        return {
            "images": torch.zeros(2),
            "targets": os.getpid(),
            "threads": max(torch.get_num_threads(), cv2.getNumThreads()),
            "tasks": threads,
        }


def test_workers_stay_for_the_next_pass_even_if_one_is_abandoned():
    loader = DeviceLoader(0, dataset=Readers(), batch_size=4, num_workers=2)

    def readers():
        return {pid for batch in loader for pid in batch["targets"].tolist()}

    first = readers()
    assert len(first) == 2
    assert os.getpid() not in first
    next(iter(loader))
    assert readers() == first
    assert readers() == first


class Failing(Readers):
    """Its eighth item, which is asked for after others have come, is bad."""

    bad = True

    def __getitem__(self, index):
        if self.bad and index == 7:
            raise ValueError("a frame is bad")
        return super().__getitem__(index)


def assert_gone(processes):
    for pid in processes:
        # Of one that nobody has waited for, a zombie would be left.
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_worker_is_left_after_an_error_and_the_next_pass_has_others():
    loader = DeviceLoader(0, dataset=Failing(), batch_size=1, num_workers=2)
    read = []
    # The error is held on to, and with it every frame that it has passed through.
    with pytest.raises(ValueError, match="a frame is bad") as held:
        read += (batch["targets"].item() for batch in loader)
    workers = set(read)
    assert len(workers) == 2
    assert_gone(workers)
    assert held.value.__traceback__ is not None

    loader.dataset.bad = False
    others = {batch["targets"].item() for batch in loader}
    assert len(others) == 2
    assert {batch["targets"].item() for batch in loader} == others


class Pairs:
    """Batches of two; when they are asked for, it is heard what became of children meanwhile."""

    heeding = None

    def __iter__(self):
        if self.heeding is not None:
            signal.signal(signal.SIGCHLD, self.heeding)
            signal.raise_signal(signal.SIGCHLD)
        return iter([[0, 1], [2, 3], [4, 5]])


def test_a_worker_that_dies_between_two_passes_is_named_by_the_second():
    loader = DeviceLoader(0, dataset=Readers(), batch_sampler=Pairs(), num_workers=2)
    workers = {batch["targets"][0].item() for batch in loader}
    loader.batch_sampler.heeding = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.kill(min(workers), signal.SIGKILL)
    os.waitid(os.P_PID, min(workers), os.WEXITED | os.WNOWAIT)
    with pytest.raises(WorkerDiedError, match=f"Worker {min(workers)} of the data loader was ended by a signal"):
        list(loader)
    assert_gone(workers)
    loader.batch_sampler.heeding = None
    assert [batch["threads"].tolist() for batch in loader] == [[1, 1]] * 3


def test_workers_of_a_loader_in_a_cycle_end_by_themselves(tmp_path):
    def leave_mark_at_the_end(number):
        # A process that is killed runs no finalizer.
        util.Finalize(None, (tmp_path / str(number)).touch, exitpriority=1)

    loader = DeviceLoader(0, dataset=Readers(), batch_size=1, num_workers=2, worker_init_fn=leave_mark_at_the_end)
    workers = {batch["targets"].item() for batch in loader}
    loader.itself = loader
    del loader
    gc.collect()
    assert_gone(workers)
    assert sorted(mark.name for mark in tmp_path.iterdir()) == ["0", "1"]


def test_workers_have_few_threads():
    loader = DeviceLoader(0, dataset=Readers(), batch_size=4, num_workers=2)
    batches = list(loader)
    assert {count for batch in batches for count in batch["threads"].tolist()} == {1}
    # Beside the one that reads, one hands the batches over.
    assert max(count for batch in batches for count in batch["tasks"].tolist()) <= 3


ABANDONED = """
import itertools
import os
import torch
import xreid_plugin
from fastreid.data import build_reid_test_loader, build_reid_train_loader
from xreid_plugin.config import get_cfg

class Readers(torch.utils.data.Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        return {"images": torch.zeros(2), "targets": os.getpid()}

cfg = get_cfg()
cfg.MODEL.DEVICE = "cpu"
cfg.DATALOADER.NUM_WORKERS = 2
cfg.TEST.IMS_PER_BATCH = cfg.SOLVER.IMS_PER_BATCH = 4
training = iter(build_reid_train_loader(cfg, train_set=Readers(), sampler=itertools.cycle(range(100))))
test, _ = build_reid_test_loader(cfg, test_set=Readers())
kept = [*itertools.islice(training, 5), *itertools.islice(test, 2), next(iter(test))]
print(*sorted({pid for batch in kept for pid in batch["targets"].tolist()}), flush=True)
ENDING
"""


@pytest.mark.parametrize("ending", ["", "1 / 0"], ids=["end", "error"])
def test_abandoned_workers_end_with_the_process(ending):
    script = ABANDONED.replace("ENDING", ending)
    # Workers hold the pipe of standard output as well: that this returns shows that they are gone, or soon will be.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == (1 if "/" in ending else 0), done.stderr
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 4
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
