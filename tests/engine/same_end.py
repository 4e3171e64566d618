"""Runs that are small, and whether two of them have ended alike: bit for bit, but for what a clock has measured."""

import json

import torch

from tests.data.small_set import small_config
from xreid_plugin.engine.record import CLOCKED
from xreid_plugin.engine.trainer import XReIDTrainer

# Epochs of four steps, lines of three: a period ends in mid-epoch, and an epoch in mid-period. The warm-up ends within
# the second epoch. Evaluation falls due after the second epoch and after the last.
OVERRIDES = [
    *("SOLVER.ITERS_PER_EPOCH", "4", "SOLVER.MAX_EPOCH", "3", "SOLVER.LOG_PERIOD", "3", "SOLVER.WARMUP_ITERS", "6"),
    *("TEST.EVAL_PERIOD", "2", "SOLVER.CHECKPOINT_PERIOD", "1", "MODEL.DEVICE", "cpu"),
    *("MODEL.CPC.REFRESH_BATCH", "16"),
    *("MODEL.FREEZE_LAYERS", '["backbone"]', "SOLVER.FREEZE_ITERS", "5"),
]


def noisy_trainer(root, output, *overrides):
    """A trainer whose model draws random numbers in every training step, as dropout would."""
    torch.manual_seed(0)
    trainer = XReIDTrainer(small_config(root, output, *OVERRIDES, *overrides))

    def disturb(module, arguments, outputs):
        if not module.training:
            return outputs
        return outputs._replace(tokens=outputs.tokens + 0.01 * torch.randn_like(outputs.tokens))

    trainer.bare_model.backbone.register_forward_hook(disturb)
    return trainer


def run(root, output, *overrides, resume=False, prepare=lambda trainer: None):
    trainer = noisy_trainer(root, output, *overrides)
    trainer.resume_or_load(resume=resume)
    prepare(trainer)
    trainer.train()
    return trainer


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCKED} for line in lines]


def assert_same_end(expected, actual):
    """Compares weights, memory, optimiser, schedules, random numbers, the record, all lines and all metrics."""
    one, two = (torch.load(folder / "model_final.pth", weights_only=True) for folder in (expected, actual))
    for content in (one, two):
        del content["config"]
        # Metrics are written with their evaluation; a run that goes on from before it needs them no more.
        for part in content["metrics"].values():
            for name in [name for name in part if name.startswith(("I2V/", "V2I/"))]:
                del part[name]
    assert_equal(two, one)
    assert metrics(actual) == metrics(expected)
    names = sorted(path.name for path in expected.glob("results_*.json"))
    assert names
    for name in names:
        one, two = (json.loads((folder / name).read_text()) for folder in (expected, actual))
        del one["model"]["time"], two["model"]["time"]
        assert two == one, name


def assert_equal(actual, expected, where=""):
    assert type(actual) is type(expected), where
    if isinstance(expected, dict):
        assert set(actual) == set(expected), where
        for key in expected:
            assert_equal(actual[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), where
        for number, (one, two) in enumerate(zip(actual, expected, strict=True)):
            assert_equal(one, two, f"{where}/{number}")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(actual, expected), where
    else:
        assert actual == expected, where
