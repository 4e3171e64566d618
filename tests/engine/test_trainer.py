import json
import logging

import pytest
import torch

from tests.data.small_set import TEST_IDENTITIES, TRAIN_IDENTITIES, small_config
from xreid_plugin.engine.hooks import BEFORE_TRAINING
from xreid_plugin.engine.trainer import XReIDTrainer

# Cosine annealing needs an epoch after the warm-up.
ONE_EPOCH = ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0"]


def run(cfg, resume=False):
    trainer = XReIDTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def finished(small_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    return run(small_config(small_set, output)), output


def test_evaluations_are_kept_and_written(finished):
    trainer, output = finished
    assert list(trainer.evaluations) == [BEFORE_TRAINING, "epoch 1", "epoch 2"]
    for label, metrics in trainer.evaluations.items():
        written = json.loads((output / f"results_{label.replace(' ', '_')}.json").read_text())
        assert written["metrics"] == pytest.approx(dict(metrics))
        assert written["protocol"]["same_camera"] == "exclude"
        assert written["protocol"]["sets"]["I2V query"]["infrared"]["identities"] == TEST_IDENTITIES


def test_the_record_has_losses_prototypes_throughput_and_metrics(finished):
    _, output = finished
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    seen = set().union(*lines)
    assert {"loss_cpcl", "loss_triplet", "loss_ce_clip", "loss_ce_frame", "loss_cmcl"} <= seen
    assert {"prototype/own", "prototype/cross", "prototype/modality_cosine", "clips_per_second", "lr"} <= seen
    assert {"I2V/mAP", "V2I/Rank-1"} <= seen
    assert list(output.glob("events.out.tfevents.*"))


def test_checkpoints_hold_the_memory_the_epoch_and_the_configuration(finished):
    trainer, output = finished
    assert sorted(path.name for path in output.glob("*.pth")) == ["model_0000.pth", "model_final.pth"]
    checkpoint = torch.load(output / "model_final.pth", weights_only=True)
    assert checkpoint["epoch"] == 1
    assert f"NUM_CLASSES: {TRAIN_IDENTITIES}" in checkpoint["config"]
    torch.testing.assert_close(checkpoint["model"]["prototypes.visible"], trainer.model.prototypes.visible)


def test_a_finished_run_is_not_run_again(small_set, finished, caplog):
    _, output = finished
    before = (output / "model_final.pth").stat().st_mtime_ns
    again = XReIDTrainer(small_config(small_set, output))
    again.resume_or_load(resume=True)
    assert again.is_finished
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert again.train() == {}
    assert caplog.messages == []
    assert (output / "model_final.pth").stat().st_mtime_ns == before


def test_weights_that_are_not_finite_are_not_saved(small_set, tmp_path):
    trainer = XReIDTrainer(small_config(small_set, tmp_path, *ONE_EPOCH, "TEST.EVAL_AT_START", "False"))

    def spoil(module, arguments):
        # It has no part in a loss.
        module.heads.tower.neck.running_mean.fill_(float("inf"))

    trainer.model.register_forward_pre_hook(spoil)
    with pytest.raises(FloatingPointError, match=r"heads\.tower\.neck\.running_mean"):
        trainer.train()
    assert not list(tmp_path.glob("*.pth"))


def test_other_keys_than_the_run_began_with_are_told(small_set, finished, caplog):
    overrides = ["SOLVER.BASE_LR", "0.5", "MODEL.CPC.MOMENTUM", "0.75", "TEST.IMS_PER_BATCH", "16"]
    XReIDTrainer(small_config(small_set, finished[1], *overrides)).resume_or_load(resume=True)
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "MODEL.CPC.MOMENTUM 0.9 -> 0.75" in told
    assert "SOLVER.BASE_LR 0.001 -> 0.5" in told
    assert "IMS_PER_BATCH" not in told


def test_prototypes_are_refreshed_every_so_many_epochs_without_moving_a_batch_statistic(small_set, tmp_path):
    overrides = ["MODEL.CPC.REFRESH_EPOCHS", "2", "SOLVER.MAX_EPOCH", "3", "TEST.EVAL_PERIOD", "0"]
    trainer = XReIDTrainer(small_config(small_set, tmp_path, *overrides, "TEST.EVAL_AT_START", "False"))
    clips, statistics = [], []

    def before(module, arguments):
        statistics.append((module.training, module.heads.state_dict()))
        statistics[-1] = (module.training, {k: v.clone() for k, v in statistics[-1][1].items() if "running" in k})

    def in_tower(module, arguments):
        if not module.training:
            clips.append((trainer.epoch, len(arguments[0])))

    trainer.model.register_forward_pre_hook(before)
    trainer.model.backbone.register_forward_pre_hook(in_tower)
    start = {name: value.clone() for name, value in trainer.model.heads.state_dict().items() if "running" in name}
    trainer.train()
    frames = len(trainer.data_loader.dataset) * trainer.cfg.INPUT.CLIP.FRAMES
    assert [sum(count for epoch, count in clips if epoch == wanted) for wanted in range(3)] == [frames, 0, frames]
    training, first = statistics[0]
    assert training
    # But for the clip neck of the tower, which is fitted before the first prototypes.
    moved = {name for name, value in first.items() if not torch.equal(value, start[name])}
    assert moved == {"tower.neck.running_mean", "tower.neck.running_var"}


def test_a_schedule_without_an_epoch_to_anneal_over_is_refused(small_set, tmp_path):
    with pytest.raises(ValueError, match=r"SOLVER\.WARMUP_ITERS"):
        XReIDTrainer(small_config(small_set, tmp_path, "SOLVER.MAX_EPOCH", "1"))


def test_an_epoch_without_an_iteration_is_refused(small_set, tmp_path):
    # 6 identities of 2 modalities with 3 tracklets each, and a batch of 48.
    sizes = ["SOLVER.IMS_PER_BATCH", "48", "DATALOADER.NUM_INSTANCE", "4", "SOLVER.ITERS_PER_EPOCH", "0"]
    with pytest.raises(ValueError, match=r"SOLVER\.ITERS_PER_EPOCH"):
        XReIDTrainer(small_config(small_set, tmp_path, *sizes))


def test_the_seed_is_that_of_the_weights(small_set, tmp_path):
    weights = []
    for seed, noise in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(noise)
        trainer = XReIDTrainer(small_config(small_set, tmp_path, "SEED", seed))
        weights.append(torch.cat([parameter.flatten() for parameter in trainer.model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
