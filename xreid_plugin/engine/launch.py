"""The processes of a job: one that runs in place, several that are spawned here, or those that torchrun has started.

The options are those of the host's launcher, which knows CUDA and NCCL alone.
"""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import FrameType
from urllib.parse import urlsplit

import torch
from torch import distributed as dist
from torch import multiprocessing as mp

from xreid_plugin.host import set_local_group

Main = Callable[[argparse.Namespace], None]

# For the other processes to end by themselves, with what they have to say and to write.
_GRACE_SECONDS = 5.0


def launch(main: Main, arguments: argparse.Namespace, on_cuda: bool, timeout: timedelta) -> None:
    """Runs ``main(arguments)`` on every process of the job, and returns when all of this machine are done.

    A process that fails or is killed ends the others, on this machine at once and on other machines when they next wait
    for it; this process then exits with the same code, 1 if it was killed, and a message that names the rank.

    Args:
        main: picklable by name.
        arguments: with num_gpus, num_machines, machine_rank and dist_url, of which torchrun's processes need none.
        on_cuda: a GPU each, and NCCL; otherwise gloo.
        timeout: after which a process that waits for one that answers no more ends the run. One that is gone is noticed
            at once, by its broken connection.
    """
    processes, machines = arguments.num_gpus, arguments.num_machines
    if "LOCAL_WORLD_SIZE" in os.environ:
        _run_rank(main, arguments, on_cuda, timeout)
    elif processes * machines == 1:
        main(arguments)
    else:
        first_rank, url = arguments.machine_rank * processes, urlsplit(arguments.dist_url)
        meeting = {
            "MASTER_ADDR": url.hostname or "127.0.0.1",
            "MASTER_PORT": str(url.port or _free_port()),
            "WORLD_SIZE": str(processes * machines),
            "LOCAL_WORLD_SIZE": str(processes),
        }
        given = (first_rank, meeting, main, arguments, on_cuda, timeout)
        context = mp.spawn(_spawned, given, nprocs=processes, join=False)
        assert context is not None
        _wait(context, first_rank)


def _wait(context: mp.ProcessContext, first_rank: int) -> None:
    """Waits for the ranks of this machine; whoever ends this process means the run, whose ranks save and end it.

    A terminal's Ctrl-C reaches the ranks anyway, and a second one would end them at once: they get SIGTERM for it.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        for pid in context.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    try:
        while not context.join(grace_period=_GRACE_SECONDS):
            pass
    except mp.ProcessExitedException as error:
        if error.exit_code > 0:
            sys.exit(error.exit_code)
        sys.exit(
            f"Rank {first_rank + error.error_index} was killed by {error.signal_name}; the other processes have been "
            "ended. A run goes on from its last checkpoint with --resume."
        )
    except mp.ProcessRaisedException as error:
        sys.exit(f"Rank {first_rank + error.error_index} has failed.{error}")


def _spawned(
    local_rank: int,
    first_rank: int,
    meeting: dict[str, str],
    main: Main,
    arguments: argparse.Namespace,
    on_cuda: bool,
    timeout: timedelta,
) -> None:
    """Makes of a fresh process one of those that torchrun starts."""
    os.environ.update(meeting, RANK=str(first_rank + local_rank), LOCAL_RANK=str(local_rank))
    # A rank's loaders would start their workers as it was started itself, as fresh interpreters that import everything.
    mp.set_start_method(mp.get_all_start_methods()[0], force=True)
    _run_rank(main, arguments, on_cuda, timeout)


def _run_rank(main: Main, arguments: argparse.Namespace, on_cuda: bool, timeout: timedelta) -> None:
    """Meets the other ranks, by torchrun's variables, and runs."""
    local_rank, processes = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    device = torch.device("cuda", local_rank) if on_cuda else None
    if device is not None:
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    # With its GPU named NCCL connects now, where a fault belongs to the start and not to the first step.
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timeout, device_id=device)
    set_local_group(processes, timeout)
    try:
        main(arguments)
    except RuntimeError as error:
        if "imed out" not in str(error):
            raise
        sys.exit(
            f"Rank {dist.get_rank()} has waited {timeout.total_seconds():g} s (PROCESS_TIMEOUT) for another "
            "process, which was stopped or hangs: it is the one whose log, log.txt.rankN, ends first. --resume goes on "
            "from the last checkpoint."
        )
    leave_together()


def leave_together() -> None:
    """Ends the connections between the job's processes, if there are any, where all processes have agreed to end.

    A process that ends by itself must not: with NCCL it could wait here for the others.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
