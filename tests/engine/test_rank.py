import argparse
import signal
from datetime import timedelta

import pytest
import torch
from fastreid.utils import comm
from torch import distributed as dist

from tests.ranks import run_on_two_ranks
from xreid_plugin.engine import command_line, rank
from xreid_plugin.engine.job import Place
from xreid_plugin.engine.rank import run_rank, speaks_for_machine
from xreid_plugin.engine.signals import RunStopped


@pytest.fixture
def store():
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def test_who_does_not_come_is_named(store, monkeypatch):
    monkeypatch.setattr(rank, "MEETING", timedelta(milliseconds=100))
    store.set("come/2", "")
    with pytest.raises(SystemExit, match=r"Rank 0 of 4 waited .* for ranks \[1, 3\]"):
        rank._meet(Place(0, 4, 0, 1), store, "come")


def test_the_roll_call_names_who_is_silent(store, monkeypatch):
    monkeypatch.setattr(rank, "_ROLL_CALL_SECONDS", 0.3)
    store.set("lost/1", "")
    assert rank._who_is_gone(Place(0, 3, 0, 1), store) == "rank 2 is gone"
    store.set("lost/2", "")
    assert rank._who_is_gone(Place(0, 3, 0, 1), store) == "the connection of all ranks broke"


def test_the_roll_call_need_not_wait_for_one_that_was_seen_to_be_killed(store):
    store.set("killed/2", "")
    assert rank._who_is_gone(Place(0, 4, 0, 1), store) == "rank 2 is gone"


def test_where_the_meeting_point_is_gone_so_is_machine_0():
    keeper = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    visitor = dist.TCPStore("127.0.0.1", keeper.port, is_master=False, wait_for_workers=False)
    del keeper
    assert "machine 0" in rank._who_is_gone(Place(1, 2, 0, 1), visitor)


ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(
    ("on_cuda", "backend", "device"),
    [
        pytest.param(False, "gloo", None, id="cpu"),
        pytest.param(True, "nccl", torch.device("cuda", 0), id="cuda", marks=ON_GPU),
    ],
)
def test_work_is_done_in_a_group_that_knows_its_device_and_ends_with_it(store, monkeypatch, on_cuda, backend, device):
    monkeypatch.setattr(rank, "_meeting", None)
    monkeypatch.setattr(comm, "_LOCAL_PROCESS_GROUP", None)
    seen = []

    def work(given):
        # With NCCL it warns where it has to guess the GPU.
        dist.barrier()
        seen.append((given, dist.get_backend(), dist.group.WORLD.bound_device_id, comm.get_local_rank()))

    run_rank(Place(0, 1, 0, 1), store, on_cuda, work, ("given",))
    assert seen == [("given", backend, device, 0)]
    assert not dist.is_initialized()


def stopped_on_rank(number, folder):
    def work():
        raise RunStopped("Stopped", signal.SIGTERM)

    command_line._prepared = lambda arguments: work
    with pytest.raises(SystemExit) as stop:
        command_line.train_or_evaluate(argparse.Namespace(debug=False))
    left = not dist.is_initialized()
    if left:
        # Whoever has started the ranks ends their connections again.
        dist.init_process_group("gloo", store=dist.FileStore(str(folder / "again"), 2), rank=number, world_size=2)
    return [stop.value.code, left]


def test_processes_that_stop_together_end_their_connections(tmp_path):
    assert run_on_two_ranks(stopped_on_rank, tmp_path) == [[143, True], [143, True]]


def roles_on_rank(number, folder):
    store = dist.FileStore(str(folder / "store"), 2)
    told = []
    # Both on one machine, then each on its own.
    for local_world_size in (2, 1):
        rank._meeting = (
            Place(number, 2, number % local_world_size, local_world_size),
            dist.PrefixStore(str(local_world_size), store),
        )
        told.append(speaks_for_machine())
    rank._set_local_group(Place(number, 2, 0, 1))
    return torch.tensor([*told, comm.get_local_rank(), comm.get_local_size()])


def test_one_process_of_a_machine_speaks_and_knows_its_neighbours(tmp_path):
    ranks = torch.stack(run_on_two_ranks(roles_on_rank, tmp_path))
    assert ranks[:, 0].sum() == 1
    assert ranks[:, 1].tolist() == [1, 1]
    assert ranks[:, 2:].tolist() == [[0, 1], [0, 1]]
