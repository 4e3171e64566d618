import pytest
import torch
from fastreid.engine.train_loop import SimpleTrainer
from fastreid.utils.events import EventStorage
from torch import nn


def trainer():
    model = nn.Linear(2, 1)
    stepping = SimpleTrainer(model, [], torch.optim.SGD(model.parameters()), None)
    stepping.iter = 7
    return stepping


def test_losses_are_read_where_they_are_computed(monkeypatch):
    def another_stream(*_):
        raise AssertionError("a stream that waits for nothing may read a loss before it is computed")

    monkeypatch.setattr(torch.cuda, "stream", another_stream)
    with EventStorage() as storage:
        trainer()._write_metrics({"loss_a": torch.tensor(1.5), "loss_b": torch.tensor(2.0)}, 0.25)
        latest = {name: value for name, (value, _) in storage.latest().items()}
    assert latest == {"loss_a": 1.5, "loss_b": 2.0, "total_loss": 3.5, "data_time": 0.25}


def test_a_loss_that_is_not_finite_is_named_with_its_iteration():
    with EventStorage(), pytest.raises(FloatingPointError, match=r"iteration 7.*loss_a.*nan"):
        trainer()._write_metrics({"loss_a": torch.tensor(float("nan"))}, 0.0)
