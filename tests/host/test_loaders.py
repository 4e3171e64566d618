import os

import pytest
import torch
from fastreid.data import build_reid_test_loader, build_reid_train_loader
from fastreid.modeling.meta_arch import META_ARCH_REGISTRY, build_model

from xreid_plugin.config import get_cfg
from xreid_plugin.host import DeviceLoader, default_workers, resolve_device

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


@META_ARCH_REGISTRY.register()
class OneLayer(torch.nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)


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


def test_workers_default_to_a_share_of_the_cores(monkeypatch):
    def cores(count, processes=1):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
        monkeypatch.setattr("fastreid.utils.comm.get_local_size", lambda: processes)
        return default_workers()

    assert [cores(1), cores(3), cores(8), cores(64)] == [1, 3, 8, 8]
    assert [cores(64, 4), cores(16, 4), cores(2, 4)] == [8, 4, 1]
    assert cores(5) == 5
    loader, _ = build_reid_test_loader(config(workers=-1), test_set=Squares())
    assert loader.num_workers == 5
    assert build_reid_train_loader(config(workers=-1), train_set=Squares(), sampler=range(4)).num_workers == 5


@needs_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_reach_the_gpu_whole(workers):
    loader, _ = build_reid_test_loader(config("auto", workers), test_set=Squares())
    assert_all_squares(list(loader), "cuda")


@pytest.mark.parametrize("cuda", [True, False])
def test_auto_is_the_gpu_where_there_is_one(cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve_device("auto").type == ("cuda" if cuda else "cpu")
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


def test_models_are_built_on_the_device_of_the_configuration():
    for name in ("auto", "cpu", "meta"):
        cfg = config(name)
        cfg.MODEL.META_ARCHITECTURE = "OneLayer"
        assert build_model(cfg).layer.weight.device.type == resolve_device(name).type


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
