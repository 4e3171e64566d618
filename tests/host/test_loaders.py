import os

import pytest
import torch
from fastreid.data import build_reid_test_loader, build_reid_train_loader

from xreid_plugin.config import get_cfg
from xreid_plugin.host import DeviceLoader

# Of no account here: a machine of one core, and a Python that would rather not fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Squares(torch.utils.data.Dataset):
    """Ten items as the host collates them: tensors, numbers and text."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"images": torch.full((2,), float(index)), "targets": index * index, "img_paths": f"{index}.jpg"}


def config(device="cpu", workers=0):
    cfg = get_cfg()
    cfg.MODEL.DEVICE = device
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.TEST.IMS_PER_BATCH = 4
    cfg.SOLVER.IMS_PER_BATCH = 4
    return cfg


def assert_all_squares(batches, device):
    assert [len(batch["targets"]) for batch in batches] == [4, 4, 2]
    assert {batch[key].device.type for batch in batches for key in ("images", "targets")} == {device}
    assert [square for batch in batches for square in batch["targets"].tolist()] == [i * i for i in range(10)]
    assert [path for batch in batches for path in batch["img_paths"]] == [f"{i}.jpg" for i in range(10)]
    assert torch.cat([batch["images"].cpu() for batch in batches])[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_test_loader_runs_without_cuda_with_the_workers_asked_for(workers):
    loader, num_query = build_reid_test_loader(config(workers=workers), test_set=Squares(), num_query=3)
    assert (loader.num_workers, num_query) == (workers, 3)
    assert_all_squares(list(loader), "cpu")
    assert_all_squares(list(loader), "cpu")


def test_the_training_loader_runs_without_cuda():
    sampler = torch.utils.data.SequentialSampler(Squares())
    loader = build_reid_train_loader(config(), train_set=Squares(), sampler=sampler)
    assert [batch["targets"].tolist() for batch in loader] == [[0, 1, 4, 9], [16, 25, 36, 49]]


@needs_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_reach_the_gpu_whole(workers):
    loader, _ = build_reid_test_loader(config("auto", workers), test_set=Squares())
    assert_all_squares(list(loader), "cuda")


class Readers(Squares):
    """Each item tells which process reads it; the eighth does what it is told."""

    def __init__(self, deed=lambda: None):
        self.deed = deed

    def __getitem__(self, index):
        if index == 7:
            self.deed()
        return {"images": torch.zeros(2), "targets": os.getpid()}


def readers(loader):
    return {pid for batch in loader for pid in batch["targets"].tolist()}


def test_workers_stay_for_the_next_pass_even_if_one_is_abandoned():
    loader = DeviceLoader(0, dataset=Readers(), batch_size=4, num_workers=2)
    first = readers(loader)
    assert len(first) == 2
    assert os.getpid() not in first
    next(iter(loader))
    assert readers(loader) == first


def test_an_error_of_a_worker_comes_as_it_was_raised():
    def fail():
        raise FileNotFoundError(2, "No such file", "frame.jpg")

    loader = DeviceLoader(0, dataset=Readers(fail), num_workers=1)
    with pytest.raises(FileNotFoundError) as error:
        list(loader)
    assert str(error.value) == "[Errno 2] No such file: 'frame.jpg'"
    assert "in fail" in str(error.value.__cause__)
