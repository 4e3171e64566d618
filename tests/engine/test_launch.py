import argparse
import os
import signal
import socket
from datetime import timedelta

import pytest
import torch
from fastreid.utils import comm
from torch import distributed as dist

from tests.ranks import run_on_two_ranks
from xreid_plugin.engine import command_line, launch
from xreid_plugin.engine.launch import Job, Place, plan_job, speaks_for_machine
from xreid_plugin.engine.signals import RunStopped
from xreid_plugin.user_errors import USAGE_ERROR

ALONE = Job(processes=1, machines=1, machine=0, host="127.0.0.1", port=0, on_cuda=False, by_torchrun=False)


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch):
    for name in launch._TORCHRUN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store():
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def test_a_single_machine_needs_no_address():
    assert plan_job(1, 1, 0, "auto", on_cuda=False) == ALONE
    assert plan_job(3, 1, 0, "auto", on_cuda=False).world_size == 3


def test_several_machines_meet_at_the_address_of_one():
    job = plan_job(2, 3, 1, "tcp://192.168.0.10:29500", on_cuda=False)
    assert (job.host, job.port, job.world_size) == ("192.168.0.10", 29500, 6)


def test_within_torchrun_its_environment_counts(monkeypatch):
    facts = {"RANK": 5, "WORLD_SIZE": 6, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "m", "MASTER_PORT": 1}
    for name, value in facts.items():
        monkeypatch.setenv(name, str(value))
    job = plan_job(1, 1, 0, "auto", on_cuda=False)
    assert job.by_torchrun
    assert (job.processes, job.machines, job.machine) == (2, 3, 2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((0, 1, 0, "auto"), "--num-gpus 0"),
        ((1, 0, 0, "auto"), "--num-machines 0"),
        ((1, 2, 2, "tcp://a:1"), "--machine-rank 2"),
        ((1, 2, -1, "tcp://a:1"), "--machine-rank -1"),
        ((1, 2, 0, "auto"), "--dist-url"),
        ((1, 2, 0, "file:///tmp/meeting"), "--dist-url"),
        ((1, 2, 0, "tcp://a"), "--dist-url"),
        ((1, 2, 0, "tcp://a:port"), "--dist-url"),
    ],
)
def test_options_that_do_not_fit_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        plan_job(*options, on_cuda=False)


def test_more_processes_than_gpus_are_refused():
    with pytest.raises(ValueError, match="--num-gpus is 99"):
        plan_job(99, 1, 0, "auto", on_cuda=True)


def test_a_single_process_runs_in_place():
    seen = []
    launch.launch(ALONE, lambda *given: seen.append((os.getpid(), given)), (1, 2))
    assert seen == [(os.getpid(), (1, 2))]
    assert speaks_for_machine()


def test_a_port_that_is_taken_is_said_so(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        job = ALONE._replace(processes=2, port=other.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            launch.launch(job, print)
    assert ended.value.code == USAGE_ERROR
    assert f"--dist-url: 127.0.0.1:{job.port}" in capsys.readouterr().err


def test_who_does_not_come_is_named(store, monkeypatch):
    monkeypatch.setattr(launch, "_MEETING", timedelta(milliseconds=100))
    store.set("come/2", "")
    with pytest.raises(SystemExit, match=r"Rank 0 of 4 waited .* for ranks \[1, 3\]"):
        launch._meet(Place(0, 4, 0, 1), store, "come")


def test_the_roll_call_names_who_is_silent(store, monkeypatch):
    monkeypatch.setattr(launch, "_ROLL_CALL_SECONDS", 0.3)
    store.set("lost/1", "")
    assert launch._who_is_gone(Place(0, 3, 0, 1), store) == "rank 2 is gone"
    store.set("lost/2", "")
    assert launch._who_is_gone(Place(0, 3, 0, 1), store) == "the connection of all ranks broke"


def test_the_roll_call_need_not_wait_for_one_that_was_seen_to_be_killed(store):
    store.set("killed/2", "")
    assert launch._who_is_gone(Place(0, 4, 0, 1), store) == "rank 2 is gone"


def test_where_the_meeting_point_is_gone_so_is_machine_0():
    keeper = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    visitor = dist.TCPStore("127.0.0.1", keeper.port, is_master=False, wait_for_workers=False)
    del keeper
    assert "machine 0" in launch._who_is_gone(Place(1, 2, 0, 1), visitor)


def stopped_on_rank(rank, folder):
    def work():
        raise RunStopped("Stopped", signal.SIGTERM)

    command_line._prepared = lambda arguments: work
    with pytest.raises(SystemExit) as stop:
        command_line.train_or_evaluate(argparse.Namespace(debug=False))
    left = not dist.is_initialized()
    if left:
        # Whoever has started the ranks ends their connections again.
        dist.init_process_group("gloo", store=dist.FileStore(str(folder / "again"), 2), rank=rank, world_size=2)
    return [stop.value.code, left]


def test_processes_that_stop_together_end_their_connections(tmp_path):
    assert run_on_two_ranks(stopped_on_rank, tmp_path) == [[143, True], [143, True]]


def roles_on_rank(rank, folder):
    store = dist.FileStore(str(folder / "store"), 2)
    told = []
    # Both on one machine, then each on its own.
    for local_world_size in (2, 1):
        launch._meeting = (
            Place(rank, 2, rank % local_world_size, local_world_size),
            dist.PrefixStore(str(local_world_size), store),
        )
        told.append(speaks_for_machine())
    launch._set_local_group(Place(rank, 2, 0, 1))
    return torch.tensor([*told, comm.get_local_rank(), comm.get_local_size()])


def test_one_process_of_a_machine_speaks_and_knows_its_neighbours(tmp_path):
    ranks = torch.stack(run_on_two_ranks(roles_on_rank, tmp_path))
    assert ranks[:, 0].sum() == 1
    assert ranks[:, 1].tolist() == [1, 1]
    assert ranks[:, 2:].tolist() == [[0, 1], [0, 1]]
