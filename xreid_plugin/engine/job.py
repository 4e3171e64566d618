"""The processes of a job, as the command line or torchrun's environment describes them; options are the host's."""

import os
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import torch

# What torchrun tells each process that it starts.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Place(NamedTuple):
    """Where a process stands among those of its job.

    Attributes:
        rank: among all processes.
        world_size: number of all processes.
        local_rank: among those of its machine, hence the number of its GPU.
        local_world_size: number of those of its machine; the same on every machine.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int

    @property
    def machine(self) -> int:
        """Number of its machine."""
        return self.rank // self.local_world_size


class Job(NamedTuple):
    """What the command line says about processes, checked.

    Attributes:
        processes: on this machine.
        machines: in all.
        machine: number of this one.
        host: where the processes meet: an address of machine 0.
        port: of the meeting point; 0 for one that is free.
        on_cuda: a GPU each, and NCCL; otherwise gloo.
        by_torchrun: the processes are there already, and this is one of them.
    """

    processes: int
    machines: int
    machine: int
    host: str
    port: int
    on_cuda: bool
    by_torchrun: bool

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.processes * self.machines


def plan_job(processes: int, machines: int, machine: int, url: str, on_cuda: bool) -> Job:
    """Checks the options of the command line; within torchrun its environment goes before them.

    Args:
        processes: per machine.
        machines: in all.
        machine: number of this one, from 0.
        url: "tcp://HOST:PORT" of machine 0, or "auto" for a single machine.
        on_cuda: whether the model is on CUDA.

    Raises:
        ValueError: options that do not fit one another or this machine; names the option.
    """
    by_torchrun = all(name in os.environ for name in TORCHRUN)
    if by_torchrun:
        place = place_by_torchrun()
        processes, machines = place.local_world_size, place.world_size // place.local_world_size
        machine, url = place.machine, "auto"
    if processes < 1 or machines < 1 or not 0 <= machine < machines:
        raise ValueError(
            f"--num-gpus {processes}, --num-machines {machines} and --machine-rank {machine} must be at least 1, at "
            "least 1, and from 0 to the number of machines less 1."
        )
    if on_cuda and processes > torch.cuda.device_count():
        raise ValueError(
            f"--num-gpus is {processes}, but this machine has {torch.cuda.device_count()}: lower it, or set "
            "MODEL.DEVICE cpu for processes without one."
        )
    host, port = ("127.0.0.1", 0) if url == "auto" and (machines == 1 or by_torchrun) else _address(url)
    return Job(processes, machines, machine, host, port, on_cuda, by_torchrun)


def place_by_torchrun() -> Place:
    """Of this process, which torchrun has started."""
    return Place(*(int(os.environ[name]) for name in TORCHRUN[:4]))


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    with suppress(ValueError):
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise ValueError(
        f'--dist-url is "{url}"; with several machines all need the same address of machine 0, such as '
        "tcp://192.168.0.10:29500."
    )
