import multiprocessing
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn

from xreid_plugin.engine.statistics import share_batch_statistics

# Rank 1's model has seen other batches than rank 0's.
MEANS = [[0.0, 4.0], [2.0, 8.0]]
VARIANCES = [[1.0, 3.0], [3.0, 9.0]]


def model_of(rank):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[0].running_mean.copy_(torch.tensor(MEANS[rank]))
    model[0].running_var.copy_(torch.tensor(VARIANCES[rank]))
    return model


def run_rank(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    model = model_of(rank)
    share_batch_statistics(model)
    torch.save(dict(model.named_buffers()), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


# A fresh interpreter would spend nearly all of its time importing.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_ranks_share_the_mean_of_their_statistics(tmp_path):
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=run_rank, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=90)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    for rank in range(2):
        held = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert held["0.running_mean"].tolist() == [1.0, 6.0]
        assert held["0.running_var"].tolist() == [2.0, 6.0]


def test_one_process_keeps_its_own():
    model = model_of(1)
    share_batch_statistics(model)
    assert model[0].running_mean.tolist() == MEANS[1]
    assert model[0].running_var.tolist() == VARIANCES[1]
