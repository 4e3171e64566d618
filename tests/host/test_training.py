import itertools

import fastreid.data.build
import numpy as np
import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.engine import DefaultTrainer
from fastreid.utils.env import seed_all_rng
from PIL import Image

from tests.engine.same_end import assert_equal


@DATASET_REGISTRY.register()
class FourGreys(ImageDataset):
    """Four identities, told apart by their grey; half of their six pictures for training, half for the test."""

    def __init__(self, root="", **kwargs):
        pictures = [(f"{root}/{pid}_{k}.png", pid, k % 2) for pid in range(4) for k in range(6)]
        training, test = ([p for p in pictures if p[2] == camera] for camera in (0, 1))
        # One test picture of each identity asks; its camera differs, or the host would not count the others.
        query, gallery = test[::3], [(path, pid, 0) for path, pid, _ in test]
        super().__init__(training, query, gallery, **kwargs)


@pytest.fixture
def cfg(tmp_path, monkeypatch, caplog):
    """A training of the host's own Baseline on tiny pictures: one iteration an epoch, with all identities."""
    # DefaultTrainer sets up the host's logger for good unless it is on already.
    caplog.set_level("INFO", logger="fastreid")
    noise = np.random.default_rng(0)
    for pid, k in itertools.product(range(4), range(6)):
        pixels = noise.integers(0, 40, (64, 32, 3)) + 50 * pid
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{pid}_{k}.png")
    monkeypatch.setattr(fastreid.data.build, "_root", str(tmp_path))
    cfg = get_cfg()
    cfg.DATASETS.NAMES = cfg.DATASETS.TESTS = ("FourGreys",)
    cfg.MODEL.BACKBONE.DEPTH, cfg.MODEL.BACKBONE.FEAT_DIM = "18x", 512
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = [64, 32]
    cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER.NUM_INSTANCE = "NaiveIdentitySampler", 2
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.WARMUP_ITERS = 8, 9, 0
    cfg.SOLVER.BASE_LR = 1e-4
    cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD = 99, 3
    cfg.OUTPUT_DIR = str(tmp_path / "output")
    (tmp_path / "output").mkdir()
    seed_all_rng(0)
    return cfg


def parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def unmoved(before, model):
    return [name for name, value in model.named_parameters() if torch.equal(before[name], value)]


def losses(trainer):
    return [loss for loss, _ in trainer.storage.history("total_loss").values()]


@pytest.mark.slow
def test_the_host_trains_evaluates_saves_and_resumes(cfg, tmp_path):
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=False)
    before = parameters(trainer.model)
    results = trainer.train()

    assert unmoved(before, trainer.model) == []
    history = losses(trainer)
    assert len(history) == 9
    assert history[-1] < history[0] / 2
    assert 0 <= results["mAP"] <= 100
    # Evaluations fall due after every third epoch; the last is not made twice.
    assert len(trainer.storage.history("mAP").values()) == 3
    assert (tmp_path / "output" / "last_checkpoint").read_text() == "model_final.pth"

    cfg.SOLVER.MAX_EPOCH = 14
    resumed = DefaultTrainer(cfg)
    resumed.resume_or_load(resume=True)
    assert resumed.start_epoch == 9
    saved = trainer.model.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in resumed.model.state_dict().items())
    moments, expected = ([*run.optimizer.state_dict()["state"].values()] for run in (resumed, trainer))
    assert_equal(moments, expected)
    assert {int(moment["step"]) for moment in moments} == {9}
    resumed.train()
    assert (resumed.start_iter, resumed.iter) == (9, 14)
    # After the twelfth and, as the last, after the fourteenth.
    assert len(resumed.storage.history("mAP").values()) == 2


def test_a_run_of_mixed_precision_without_any_evaluation_ends_well(cfg, tmp_path):
    cfg.TEST.EVAL_PERIOD, cfg.SOLVER.MAX_EPOCH = 0, 5
    cfg.SOLVER.AMP.ENABLED = True
    trainer = DefaultTrainer(cfg)
    before = parameters(trainer.model)
    assert trainer.train() == {}
    assert unmoved(before, trainer.model) == []
    assert (tmp_path / "output" / "model_final.pth").is_file()
