from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from fastreid.engine.train_loop import SimpleTrainer
from fastreid.utils.events import EventStorage
from torch import nn

from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import INDICES
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.step import TrainingStep


class TwoLosses(nn.Module):
    """A linear model, whose losses are scaled by what the batch says."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 2)

    def forward(self, batch):
        out = self.linear(batch["images"])
        return {"loss_a": out.square().mean() * batch["scale"], "loss_b": out.sum(1).abs().mean()}


def batches(*scales):
    generator = torch.Generator().manual_seed(1)
    return [
        {"images": torch.randn(4, 3, generator=generator), "scale": torch.tensor(scale), INDICES: torch.tensor([n, 7])}
        for n, scale in enumerate(scales)
    ]


def training_step(data, period, scaler=None, optimizer=torch.optim.SGD):
    model = TwoLosses()
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    return TrainingStep(model, data, optimizer(model.parameters(), lr=0.1), nullcontext(), scaler, period)


def run(step, count):
    """What the storage has after every step: the latest of each scalar by its name."""
    seen = []
    with EventStorage() as storage:
        for step.iter in range(count):
            storage.iter = step.iter
            step.run_step()
            seen.append(dict(storage.latest()))
    return seen, {name: [value for value, _ in buffer.values()] for name, buffer in storage.histories().items()}


def test_losses_and_weights_are_those_of_the_hosts_loop():
    data = batches(1.0, 2.0, 0.5, 1.0)
    ours = training_step(data, 2)
    model = TwoLosses()
    hosts = SimpleTrainer(model, data, torch.optim.SGD(model.parameters(), lr=0.1), None)
    (_, found), (_, expected) = run(ours, 4), run(hosts, 4)
    for values in (found, expected):
        assert len(values.pop("data_time")) == 4
    assert found.keys() == expected.keys() == {"total_loss", "loss_a", "loss_b"}
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6)
    for one, two in zip(ours.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("bad", "word"), [(float("nan"), "loss_a nan"), (float("inf"), "loss_a inf")])
def test_the_step_that_went_wrong_is_named_though_it_is_read_later(bad, word):
    loader = Loader(batches(1.0, 1.0, bad, 1.0))
    loader.dataset = SimpleNamespace(tracklets=[SimpleNamespace(name=f"tracklet{n}") for n in range(8)])
    step = training_step(loader, 4)
    with pytest.raises(FloatingPointError) as error:
        run(step, 4)
    assert "at iteration 3:" in str(error.value)
    assert word in str(error.value)
    assert "The batch's tracklets: tracklet2, tracklet7." in str(error.value)


class Loader(list):
    """Batches of a dataset."""


def failing_on_rank(rank, folder):
    # Only the second rank's loss is none.
    step = training_step(batches(1.0, float("nan") if rank else 1.0), 2)
    with EventStorage():
        try:
            for step.iter in range(2):
                step.run_step()
        except FloatingPointError as error:
            return str(error)


@pytest.mark.slow
def test_every_rank_ends_with_the_same_error(tmp_path):
    one, two = run_on_two_ranks(failing_on_rank, tmp_path)
    assert one == two
    assert one.startswith("A loss is not finite at iteration 2: loss_a nan")
    # A resumed run has the rates of its checkpoint, so a lower one is advised for a new run alone.
    assert one.index("Begin anew with a lower SOLVER.BASE_LR") < one.index("--resume")


def test_a_step_whose_scaled_gradients_overflow_is_skipped():
    # The first loss is finite, and its gradient times the scale is not.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=100)
    step = training_step(batches(1e36, 1.0), 1, scaler)
    before = [parameter.clone() for parameter in step.model.parameters()]
    with EventStorage() as storage:
        step.iter = 0
        step.run_step()
        assert all(torch.equal(one, two) for one, two in zip(before, step.model.parameters(), strict=True))
        assert scaler.get_scale() == 2.0**15
        step.iter = storage.iter = 1
        step.run_step()
    assert not any(torch.equal(one, two) for one, two in zip(before, step.model.parameters(), strict=True))


@pytest.mark.parametrize("scale", [1.0, 2.0**10])
def test_what_clips_gradients_sees_them_unscaled(scale):
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.OPT", "SGD", "SOLVER.BASE_LR", "1.0", "SOLVER.MOMENTUM", "0.0"])
    cfg.merge_from_list(
        ["SOLVER.WEIGHT_DECAY", "0.0", "SOLVER.BIAS_LR_FACTOR", "1.0", "SOLVER.WEIGHT_DECAY_BIAS", "0.0"]
    )
    cfg.merge_from_list(["SOLVER.CLIP_GRADIENTS.ENABLED", "True", "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "value"])
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 0.01
    model = TwoLosses()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    data = batches(1.0)
    sum(model(data[0]).values()).backward()
    expected = [p.detach() - p.grad.clamp(-0.01, 0.01) for p in model.parameters()]
    assert all((p.grad.abs() > 0.01).any() for p in model.parameters())
    model.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    step = TrainingStep(model, data, build_optimizer(cfg, model), nullcontext(), scaler, 1)
    run(step, 1)
    for parameter, wanted, old in zip(model.parameters(), expected, before, strict=True):
        torch.testing.assert_close(parameter.detach(), wanted, rtol=0, atol=1e-7)
        assert not torch.equal(parameter, old)
