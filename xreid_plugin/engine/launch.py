"""The processes of a job: started here, by torchrun, or on several machines, with a GPU each or on the CPU.

The host's launcher, whose options these are, knows CUDA and NCCL alone.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import torch
from fastreid.utils import comm
from torch import distributed as dist
from torch import multiprocessing as mp

from xreid_plugin.user_errors import USAGE_ERROR

Main = Callable[..., None]

# What torchrun tells each process that it starts.
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Until all processes have come; a machine may have to fetch its weights first.
_MEETING = timedelta(minutes=10)
# The others wait while the main process ranks and re-ranks; one that is gone is noticed by its broken connection.
_COLLECTIVE = timedelta(minutes=30)
# For the others to end by themselves, with what they have to say and to write.
_GRACE_SECONDS = 5.0
# Those whose connections broke too come within a step; who does not is the one that is gone.
_ROLL_CALL_SECONDS = 10.0


class Place(NamedTuple):
    """Where a process stands among those of its job.

    Attributes:
        rank: among all processes.
        world_size: number of all processes.
        local_rank: among those of its machine, hence the number of its GPU.
        local_world_size: number of those of its machine; alike on all machines.
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
    by_torchrun = all(name in os.environ for name in _TORCHRUN)
    if by_torchrun:
        place = _place_by_torchrun()
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


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    with suppress(ValueError):
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise ValueError(
        f'--dist-url is "{url}"; with several machines all need the same address of machine 0, such as '
        "tcp://192.168.0.10:29500."
    )


def launch(job: Job, main: Main, arguments: Sequence[Any] = ()) -> None:
    """Runs ``main(*arguments)`` on every process of the job, and returns when all of this machine are done.

    A single process is this one. A process that fails or is killed ends the others, on this machine at once and on
    other machines when they next wait for it; this process then exits with the same code, 1 if it was killed, and a
    message that names the rank.

    Args:
        job: of :func:`plan_job`.
        main: picklable by name.
        arguments: picklable.
    """
    if job.world_size == 1:
        main(*arguments)
    elif job.by_torchrun:
        store, _, _ = next(dist.rendezvous("env://"))
        _run(_place_by_torchrun(), store, job.on_cuda, main, arguments)
    else:
        _spawn(job, main, arguments)


def speaks_for_machine() -> bool:
    """True for the first process of this machine to ask: what is wrong for all is told once."""
    if _meeting is None:
        return True
    place, store = _meeting
    try:
        return store.add(f"told by machine {place.machine}", 1) == 1
    except dist.DistError:
        # Whoever kept the meeting point has left, and so has told why.
        return False


def leave_together() -> None:
    """Ends the connections between the job's processes, if there are any, where all processes have agreed to end.

    A process that ends by itself must not: with NCCL it could wait here for the others.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


_meeting: tuple[Place, dist.Store] | None = None


def _place_by_torchrun() -> Place:
    return Place(*(int(os.environ[name]) for name in _TORCHRUN[:4]))


def _spawn(job: Job, main: Main, arguments: Sequence[Any]) -> None:
    # Kept by this process, which outlives all of its ranks: they can still tell why they end.
    store = _open_meeting(job) if job.machine == 0 else None
    port = store.port if store is not None else job.port
    context = mp.spawn(_spawned, (job._replace(port=port), main, arguments), nprocs=job.processes, join=False)
    assert context is not None
    first_rank = job.machine * job.processes
    try:
        with _passed_on(context.pids()):
            while not context.join(grace_period=_GRACE_SECONDS):
                pass
    except mp.ProcessExitedException as error:
        if error.exit_code > 0:
            sys.exit(error.exit_code)
        rank = first_rank + error.error_index
        with suppress(dist.DistError):
            (store or _meeting_point(job, timedelta(seconds=5))).set(f"killed/{rank}", "")
        sys.exit(
            f"Rank {rank} of {job.world_size} was killed by {error.signal_name}; the other processes have been ended. "
            "A run goes on from its last checkpoint with --resume."
        )
    except mp.ProcessRaisedException as error:
        sys.exit(f"Rank {first_rank + error.error_index} of {job.world_size} has failed.{error}")


@contextmanager
def _passed_on(pids: Sequence[int]) -> Iterator[None]:
    """Whoever ends this process means the run; its ranks save, and end it in their time.

    A terminal's Ctrl-C reaches the ranks anyway, and a second one would end them at once: they get SIGTERM for it.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _open_meeting(job: Job) -> dist.TCPStore:
    try:
        return dist.TCPStore(job.host, job.port, is_master=True, wait_for_workers=False)
    except dist.DistNetworkError:
        print(f"--dist-url: {job.host}:{job.port} is taken, or is no address of this machine.", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def _meeting_point(job: Job, patience: timedelta) -> dist.TCPStore:
    return dist.TCPStore(job.host, job.port, is_master=False, timeout=patience, wait_for_workers=False)


def _spawned(local_rank: int, job: Job, main: Main, arguments: Sequence[Any]) -> None:
    # A rank's loaders would start their workers as it was started itself, as fresh interpreters that import everything.
    mp.set_start_method(mp.get_all_start_methods()[0], force=True)
    place = Place(job.machine * job.processes + local_rank, job.world_size, local_rank, job.processes)
    try:
        store = _meeting_point(job, _MEETING)
    except dist.DistError:
        sys.exit(f"Rank {place.rank} of {place.world_size} found no meeting point at tcp://{job.host}:{job.port}.")
    _run(place, store, job.on_cuda, main, arguments)


def _run(place: Place, store: dist.Store, on_cuda: bool, main: Main, arguments: Sequence[Any]) -> None:
    global _meeting
    _meeting = (place, store)
    if on_cuda:
        torch.cuda.set_device(place.local_rank)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // place.local_world_size))
    _meet(place, store, "come")
    dist.init_process_group(
        "nccl" if on_cuda else "gloo", store=store, rank=place.rank, world_size=place.world_size, timeout=_COLLECTIVE
    )
    _set_local_group(place)
    # Whoever left now, for an error in the configuration, would be waited for by those who are still connecting.
    _meet(place, store, "connected")
    try:
        main(*arguments)
    except (dist.DistError, RuntimeError) as error:
        # On a single machine, who has started this process sees which one ended first.
        if place.world_size == place.local_world_size or not _is_broken_connection(error):
            raise
        sys.exit(f"Rank {place.rank} of {place.world_size} ends: {_who_is_gone(place, store)} ({error})")
    leave_together()


def _meet(place: Place, store: dist.Store, word: str) -> None:
    """Waits until all ranks have said the word, and names those that have not; the library waits without a message."""
    store.set(f"{word}/{place.rank}", "")
    try:
        store.wait([f"{word}/{rank}" for rank in range(place.world_size)], _MEETING)
    except dist.DistError:
        away = [rank for rank in range(place.world_size) if not store.check([f"{word}/{rank}"])]
        sys.exit(f"Rank {place.rank} of {place.world_size} waited {_MEETING} in vain for ranks {away}.")


def _set_local_group(place: Place) -> None:
    """As the host's launcher does: its loaders and its trainer ask for the rank within the machine."""
    for machine in range(place.world_size // place.local_world_size):
        first = machine * place.local_world_size
        group = dist.new_group(list(range(first, first + place.local_world_size)))
        if machine == place.machine:
            comm._LOCAL_PROCESS_GROUP = group


def _is_broken_connection(error: Exception) -> bool:
    # Gloo raises a plain RuntimeError that begins with the place in its source.
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _who_is_gone(place: Place, store: dist.Store) -> str:
    """Calls the roll: a rank whose connection broke comes here as well, one that was killed does not.

    Who has started the killed rank says so at once, unless the whole machine is gone.
    """
    gone = [rank for rank in range(place.world_size) if rank != place.rank]
    try:
        store.set(f"lost/{place.rank}", "")
        end = time.monotonic() + _ROLL_CALL_SECONDS
        while gone and time.monotonic() < end:
            if killed := [rank for rank in gone if store.check([f"killed/{rank}"])]:
                gone = killed
                break
            time.sleep(0.1)
            gone = [rank for rank in gone if not store.check([f"lost/{rank}"])]
    except dist.DistError:
        return "machine 0, with rank 0 and the meeting point, is gone"
    return f"rank {', '.join(map(str, gone))} is gone" if gone else "the connection of all ranks broke"
