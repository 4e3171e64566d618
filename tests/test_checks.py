"""What a configuration must not be, by key."""

import pytest

from tests.data.small_set import small_config
from xreid_plugin.checks import check_config
from xreid_plugin.config import get_cfg


def faults(cfg, training=True):
    """The keys that are found to be wrong."""
    try:
        check_config(cfg, training)
    except ValueError as error:
        return [line.partition(" is ")[0] for line in str(error).splitlines()]
    return []


@pytest.fixture
def small(tmp_path):
    return lambda *overrides: small_config(tmp_path / "nowhere", tmp_path, *overrides)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.META_ARCHITECTURE", "XReId"),
        ("MODEL.BACKBONE.NAME", "build_clip_vision"),
        ("MODEL.LOSSES.NAME", '("CPLC", "TripletLoss")'),
        ("DATASETS.NAMES", '("HITSZ-VCM",)'),
        ("SOLVER.OPT", "Adamm"),
        ("SOLVER.SCHED", "CosineAnnealing"),
        ("TEST.FRAMES", "evn"),
        ("SOLVER.BASE_LR", "0.0"),
        ("SOLVER.CHECKPOINT_PERIOD", "0"),
        ("TEST.RERANK.LAMBDA", "3.0"),
        ("MODEL.BACKBONE.NAME", "build_resnet_backbone"),
        ("INPUT.SIZE_TRAIN", "[50, 24]"),
        ("INPUT.SIZE_TEST", "[96, 48]"),
        ("MODEL.MII.HEADS", "5"),
        ("MODEL.MII.SII.STRIDE", "3"),
        ("SOLVER.IMS_PER_BATCH", "6"),
        # 2 modalities × 2 clips of one identity.
        ("SOLVER.IMS_PER_BATCH", "4"),
        ("MODEL.CPC.ENABLED", "False"),
        ("MODEL.MII.CII.ENABLED", "False"),
        ("DATALOADER.SAMPLER_TRAIN", "RandomTrackletSampler"),
        ("MODEL.BACKBONE.CLIP_MODEL", "ViT-B-17"),
        ("MODEL.FREEZE_LAYERS", '["tower"]'),
        ("DATASETS.AUXILIARY", "True"),
        ("DATASETS.COMBINEALL", "True"),
        ("MODEL.DEVICE", "gpu"),
        ("MODEL.DEVICE", "cuda:99"),
    ],
)
def test_what_cannot_work_is_told_by_its_key(small, key, value):
    assert faults(small(key, value)) == [key]


def test_all_faults_are_told_at_once_and_nothing_that_follows_from_them(small):
    wrong = ["SOLVER.BASE_LR", "0.0", "TEST.FRAMES", "evn", "INPUT.SIZE_TEST", "[1]"]
    assert sorted(faults(small(*wrong))) == ["INPUT.SIZE_TEST", "SOLVER.BASE_LR", "TEST.FRAMES"]
    # A batch that 3 clips of an identity do not divide, and one identity's size.
    assert faults(small("DATALOADER.NUM_INSTANCE", "0", "SOLVER.IMS_PER_BATCH", "7")) == ["DATALOADER.NUM_INSTANCE"]


def test_an_evaluation_is_not_asked_for_what_training_alone_reads(small):
    cfg = small("SOLVER.IMS_PER_BATCH", "7", "SOLVER.BASE_LR", "0.0", "DATALOADER.SAMPLER_TRAIN", "None")
    assert faults(cfg, training=False) == []


def test_half_precision_is_what_the_device_has(small):
    amp = ["SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.DTYPE", "float16", "MODEL.DEVICE", "cpu"]
    assert faults(small(*amp)) == ["SOLVER.AMP.DTYPE"]


def test_a_convolution_takes_any_size_at_test_and_a_transformer_its_own_alone(tmp_path):
    found = {}
    for name in ("bot_r50", "vit_b16"):
        cfg = get_cfg()
        cfg.merge_from_file(f"configs/baselines/{name}.yml")
        cfg.INPUT.SIZE_TEST = [320, 160]
        found[name] = faults(cfg)
    assert found == {"bot_r50": [], "vit_b16": ["INPUT.SIZE_TEST"]}
