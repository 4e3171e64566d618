"""Starts the processes of a job, with a GPU each or on the CPU, and forwards signals to them.

The host's launcher, whose options these are, knows CUDA and NCCL alone.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import Any

from torch import distributed as dist
from torch import multiprocessing as mp

from xreid_plugin.engine.job import Job, Place, place_by_torchrun
from xreid_plugin.engine.rank import MEETING, Main, run_rank
from xreid_plugin.user_errors import USAGE_ERROR

# For the others to end by themselves, with what they have to say and to write.
_GRACE_SECONDS = 5.0


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
        run_rank(place_by_torchrun(), store, job.on_cuda, main, arguments)
    else:
        _spawn(job, main, arguments)


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
        store = _meeting_point(job, MEETING)
    except dist.DistError:
        sys.exit(f"Rank {place.rank} of {place.world_size} found no meeting point at tcp://{job.host}:{job.port}.")
    run_rank(place, store, job.on_cuda, main, arguments)
