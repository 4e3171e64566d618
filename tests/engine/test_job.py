import pytest

from xreid_plugin.engine.job import TORCHRUN, Job, plan_job

ALONE = Job(processes=1, machines=1, machine=0, host="127.0.0.1", port=0, on_cuda=False, by_torchrun=False)


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)


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
