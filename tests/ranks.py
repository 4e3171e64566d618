"""Two real processes that meet through gloo."""

import multiprocessing
from datetime import timedelta

import torch
import torch.distributed as dist


def _rank(rank, work, folder):
    # What a forked worker of a DataLoader does too: the parent's pool of threads is not there any more.
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    torch.save(work(rank, folder), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


def run_on_two_ranks(work, folder):
    """What ``work(rank, folder)`` returns on each rank; forked, since a fresh interpreter would mostly import."""
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=_rank, args=(rank, work, folder), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=90)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
