"""tests/e2e/test_wheel.py runs the host's own program; here is what decides whether it is about clips."""

import json

import pytest
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer

from tests.data.small_set import TRAIN_IDENTITIES, small_config
from xreid_plugin.host_programs import is_about_clips


@pytest.fixture
def cfg(small_set, tmp_path, caplog):
    # The trainer sets up the host's logger for good unless it is on already.
    caplog.set_level("INFO", logger="fastreid")
    return small_config(small_set, tmp_path / "run", "MODEL.DEVICE", "cpu")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], False),
        (["MODEL.META_ARCHITECTURE", "MGN"], False),
        (["MODEL.META_ARCHITECTURE", "FrameBaseline"], True),
        (["DATASETS.TESTS", "('Market1501', 'HITSZVCM')"], True),
        (["DATASETS.TESTS", "('NoSuchSet',)"], False),
    ],
)
def test_models_and_datasets_tell_clips_from_images(overrides, expected):
    cfg = get_cfg()
    cfg.merge_from_list(overrides)
    assert is_about_clips(cfg) is expected


class Derived(DefaultTrainer):
    pass


def test_a_trainer_of_the_hosts_trains_on_clips_and_goes_on_after_an_epoch(cfg, tmp_path):
    amp = ["SOLVER.AMP.ENABLED", "True"]
    cfg.merge_from_list([*amp, "MODEL.FREEZE_LAYERS", '["backbone"]', "SOLVER.FREEZE_ITERS", "99"])
    trainer = Derived(cfg)
    assert type(trainer) is Derived
    assert trainer.model.prototypes.of(0).shape[0] == TRAIN_IDENTITIES
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    metrics = trainer.train()
    assert {name.partition("/")[0] for name in metrics} == {"I2V", "V2I"}
    assert Derived.test(cfg, trainer.model) == metrics
    moved = {name for name, value in trainer.model.state_dict().items() if not value.equal(before[name])}
    assert {"prototypes.infrared", "prototypes.visible"} < moved
    assert not any(name.startswith("backbone") for name in moved)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.json").read_text().splitlines()]
    assert any("prototype/modality_cosine" in line for line in lines)
    cfg.SOLVER.MAX_EPOCH = 3
    resumed = Derived(cfg)
    resumed.resume_or_load(resume=True)
    resumed.train()
    assert (resumed.start_iter, resumed.iter) == (6, 9)


def test_contradictions_are_found_before_anything_is_built(cfg):
    cfg.merge_from_list(["INPUT.SIZE_TEST", "[96, 48]"])
    with pytest.raises(ValueError, match=r"INPUT\.SIZE_TEST"):
        DefaultTrainer(cfg)
