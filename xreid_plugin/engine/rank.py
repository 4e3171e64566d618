"""A process among those of its job: it meets the others, works in a group with them, and knows who is gone."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
from fastreid.utils import comm
from torch import distributed as dist

from xreid_plugin.engine.job import Place

Main = Callable[..., None]

# Until all processes have come; a machine may have to fetch its weights first.
MEETING = timedelta(minutes=10)
# The others wait while the main process ranks and re-ranks; one that is gone is noticed by its broken connection.
_COLLECTIVE = timedelta(minutes=30)
# Those whose connections broke too come within a step; who does not is the one that is gone.
_ROLL_CALL_SECONDS = 10.0

_meeting: tuple[Place, dist.Store] | None = None


def run_rank(place: Place, store: dist.Store, on_cuda: bool, main: Main, arguments: Sequence[Any]) -> None:
    """Runs ``main(*arguments)`` in the group of all ranks, once all of them have come.

    Args:
        place: of this process.
        store: where the ranks meet.
        on_cuda: a GPU for each process of a machine, and NCCL; otherwise gloo.
        main: what the job is for.
        arguments: of ``main``.

    Raises:
        SystemExit: ranks that never come, or that are gone while this one waits for them; names them.
    """
    global _meeting
    _meeting = (place, store)
    device = torch.device("cuda", place.local_rank) if on_cuda else None
    if device is not None:
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // place.local_world_size))
    _meet(place, store, "come")
    dist.init_process_group(
        "nccl" if on_cuda else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world_size,
        timeout=_COLLECTIVE,
        # NCCL connects now, where a fault belongs to the start and not to the first step, and need not guess the GPU.
        device_id=device,
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


def _meet(place: Place, store: dist.Store, word: str) -> None:
    """Waits until all ranks have said the word, and names those that have not; the library waits without a message."""
    store.set(f"{word}/{place.rank}", "")
    try:
        store.wait([f"{word}/{rank}" for rank in range(place.world_size)], MEETING)
    except dist.DistError:
        away = [rank for rank in range(place.world_size) if not store.check([f"{word}/{rank}"])]
        sys.exit(f"Rank {place.rank} of {place.world_size} waited {MEETING} in vain for ranks {away}.")


def _set_local_group(place: Place) -> None:
    """As the host's launcher does: its loaders and its trainer ask for the rank within the machine.

    They ask for nothing else, which NCCL would make connections for.
    """
    for machine in range(place.world_size // place.local_world_size):
        first = machine * place.local_world_size
        group = dist.new_group(list(range(first, first + place.local_world_size)), backend="gloo")
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
