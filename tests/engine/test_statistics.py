import torch
from torch import nn

from tests.ranks import run_on_two_ranks
from xreid_plugin.engine.statistics import share_batch_statistics

# Rank 1's model has seen other batches than rank 0's.
MEANS = [[0.0, 4.0], [2.0, 8.0]]
VARIANCES = [[1.0, 3.0], [3.0, 9.0]]


def model_of(rank):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[0].running_mean.copy_(torch.tensor(MEANS[rank]))
    model[0].running_var.copy_(torch.tensor(VARIANCES[rank]))
    return model


def shared_on_rank(rank, folder):
    model = model_of(rank)
    share_batch_statistics(model)
    return dict(model.named_buffers())


def test_two_ranks_share_the_mean_of_their_statistics(tmp_path):
    for held in run_on_two_ranks(shared_on_rank, tmp_path):
        assert held["0.running_mean"].tolist() == [1.0, 6.0]
        assert held["0.running_var"].tolist() == [2.0, 6.0]


def test_one_process_keeps_its_own():
    model = model_of(1)
    share_batch_statistics(model)
    assert model[0].running_mean.tolist() == MEANS[1]
    assert model[0].running_var.tolist() == VARIANCES[1]
