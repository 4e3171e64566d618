"""tests/e2e/test_wheel.py runs the host's own program; here is what decides whether it is about clips."""

import pytest
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer

from tests.data.small_set import TRAIN_IDENTITIES, small_config
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.host_programs import is_about_clips


@pytest.fixture
def cfg(small_set, tmp_path, caplog):
    # The trainer sets up the host's logger for good unless it is on already.
    caplog.set_level("INFO", logger="fastreid")
    return small_config(small_set, tmp_path / "run", "MODEL.DEVICE", "cpu")


class DerivedFromTheHosts(DefaultTrainer):
    pass


def test_the_hosts_own_configuration_has_the_plugins_keys():
    assert get_cfg().MODEL.CPC.MOMENTUM == 0.2


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], False),
        (["MODEL.META_ARCHITECTURE", "MGN"], False),
        (["MODEL.META_ARCHITECTURE", "XReID"], True),
        (["MODEL.META_ARCHITECTURE", "FrameBaseline"], True),
        (["DATASETS.NAMES", "('BUPTCampus',)"], True),
        (["DATASETS.TESTS", "('Market1501', 'HITSZVCM')"], True),
        (["DATASETS.TESTS", "('NoSuchSet',)"], False),
    ],
)
def test_models_and_datasets_tell_clips_from_images(overrides, expected):
    cfg = get_cfg()
    cfg.merge_from_list(overrides)
    assert is_about_clips(cfg) is expected


def test_the_hosts_trainer_is_the_plugins_for_clips(cfg):
    assert type(DefaultTrainer(cfg)) is XReIDTrainer


def test_both_trainers_start_from_the_same_weights(cfg):
    first, second = (DefaultTrainer(cfg).model.state_dict() for _ in range(2))
    assert all(value.equal(second[name]) for name, value in first.items())


def test_the_hosts_trainer_builds_a_model_that_knows_its_training_set(cfg):
    model = DefaultTrainer.build_model(cfg)
    assert model.prototypes.of(0).shape[0] == TRAIN_IDENTITIES


def test_contradictions_are_found_before_anything_is_built(cfg):
    cfg.merge_from_list(["INPUT.SIZE_TEST", "[96, 48]"])
    with pytest.raises(ValueError, match=r"INPUT\.SIZE_TEST"):
        DefaultTrainer(cfg)


def test_an_image_model_is_refused_on_tracklets(cfg):
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.HEADS.NAME = "Baseline", "EmbeddingHead"
    with pytest.raises(ValueError, match=r"MODEL\.META_ARCHITECTURE"):
        DefaultTrainer(cfg)


def test_a_seed_that_only_our_tool_draws_is_refused(cfg):
    cfg.SEED = -1
    with pytest.raises(ValueError, match="SEED is -1"):
        DefaultTrainer(cfg)


def test_a_trainer_derived_from_the_hosts_is_told_what_to_derive_from(cfg):
    with pytest.raises(ValueError, match="HITSZVCM has tracklets, and DerivedFromTheHosts loads images"):
        DerivedFromTheHosts(cfg)
    with pytest.raises(ValueError, match="derive it from XReIDTrainer"):
        DerivedFromTheHosts.build_test_loader(cfg, "HITSZVCM")
