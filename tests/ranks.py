"""Two real processes that meet through gloo."""

import multiprocessing
from datetime import timedelta

import torch
import torch.distributed as dist
from fastreid.utils import comm

# Not forked from the tests' own process, whose threads and autograd engine a child could not use; and not fresh
# interpreters either, which would mostly import.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["xreid_plugin.engine.trainer"])


def _rank(rank, work, folder):
    # A forked process has only the one thread; the server's others are not there any more.
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    comm._LOCAL_PROCESS_GROUP = dist.group.WORLD
    torch.save(work(rank, folder), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


def run_on_two_ranks(work, folder):
    """What ``work(rank, folder)`` returns on each rank; ``work`` is a module's own function."""
    ranks = [_context.Process(target=_rank, args=(rank, work, folder), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=90)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
