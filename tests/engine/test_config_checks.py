import pytest
import torch

from tests.data.small_set import small_config
from xreid_plugin.config import get_cfg
from xreid_plugin.config_files import ConfigError
from xreid_plugin.engine import config_values
from xreid_plugin.engine.config_checks import check_config, config_faults
from xreid_plugin.engine.config_values import RANGES
from xreid_plugin.registry import LOSS_REGISTRY

BAD_NAMES = [
    ("MODEL.META_ARCHITECTURE", "XReId", "XReID"),
    ("MODEL.META_ARCHITECTURE", "Baseline", "FrameBaseline"),
    ("MODEL.FRAME_BASELINE.META_ARCHITECTURE", "baseline", "Baseline"),
    ("MODEL.BACKBONE.NAME", "build_clip_vision", "build_clip_vision_backbone"),
    ("MODEL.HEADS.NAME", "XReidHead", "XReIDHead"),
    ("MODEL.LOSSES.NAME", '("CPLC", "TripletLoss")', ("CPCL", "TripletLoss")),
    ("DATASETS.NAMES", '("HITSZ-VCM",)', ("HITSZVCM",)),
    ("DATASETS.TESTS", '("BUPT", "HITSZVCM")', ("BUPTCampus", "HITSZVCM")),
    ("DATALOADER.SAMPLER_TRAIN", "CrossModalitySampler", "CrossModalityIdentitySampler"),
    ("SOLVER.OPT", "adamw", "AdamW"),
    ("SOLVER.SCHED", "CosineAnnealing", "CosineAnnealingLR"),
    ("SOLVER.WARMUP_METHOD", "lineal", "linear"),
    ("SOLVER.AMP.DTYPE", "float64", "float16"),
    ("TEST.SAME_CAMERA", "kept", "keep"),
    ("TEST.FRAMES", "evn", "even"),
    ("MODEL.BACKBONE.UNSEEN_CAMERA", "non", "none"),
    ("MODEL.CPC.UPDATE", "intrah", "intra"),
    ("INPUT.REA.PER", "frames", "frame"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norms", "norm"),
]
CONTRADICTIONS = [
    (["INPUT.SIZE_TRAIN", "[50, 24]"], ["INPUT.SIZE_TRAIN"]),
    (["INPUT.SIZE_TEST", "[96, 48]"], ["INPUT.SIZE_TEST"]),
    (["INPUT.SIZE_TRAIN", "[48]"], ["INPUT.SIZE_TRAIN"]),
    (["INPUT.SIZE_TRAIN", '["48", "24"]'], ["INPUT.SIZE_TRAIN"]),
    (["MODEL.MII.HEADS", "5"], ["MODEL.MII.HEADS"]),
    (["MODEL.MII.SII.STRIDE", "3"], ["MODEL.MII.SII.STRIDE"]),
    (["MODEL.MII.LII.STRIDE", "4"], ["MODEL.MII.LII.STRIDE"]),
    (["INPUT.CLIP.FRAMES", "1"], ["INPUT.CLIP.FRAMES"]),
    (["SOLVER.IMS_PER_BATCH", "6"], ["SOLVER.IMS_PER_BATCH"]),
    (["DATALOADER.NUM_INSTANCE", "3"], ["SOLVER.IMS_PER_BATCH"]),
    (
        ["SOLVER.IMS_PER_BATCH", "1", "DATALOADER.SAMPLER_TRAIN", "RandomTrackletSampler"],
        ["SOLVER.IMS_PER_BATCH", "DATALOADER.SAMPLER_TRAIN"],
    ),
    # 2 modalities × 2 clips of one identity.
    (["SOLVER.IMS_PER_BATCH", "4"], ["SOLVER.IMS_PER_BATCH"]),
    (["MODEL.CPC.ENABLED", "False"], ["MODEL.CPC.ENABLED"]),
    (["MODEL.LOSSES.NAME", '("TripletLoss", "CMCL")'], ["MODEL.CPC.ENABLED"]),
    (["MODEL.LOSSES.NAME", '("CPCL", "TripletLoss", "CPCL")'], ["MODEL.LOSSES.NAME"]),
    (["MODEL.MII.CII.ENABLED", "False"], ["MODEL.MII.CII.ENABLED"]),
    (["DATALOADER.SAMPLER_TRAIN", "RandomTrackletSampler"], ["DATALOADER.SAMPLER_TRAIN"]),
    (["MODEL.BACKBONE.NAME", "build_resnet_backbone"], ["MODEL.BACKBONE.NAME"]),
    (["MODEL.HEADS.NAME", "EmbeddingHead"], ["MODEL.HEADS.NAME"]),
    (["MODEL.BACKBONE.CLIP_MODEL", "ViT-B-17"], ["MODEL.BACKBONE.CLIP_MODEL"]),
    (["MODEL.FREEZE_LAYERS", '["tower"]'], ["MODEL.FREEZE_LAYERS"]),
    (["MODEL.FREEZE_LAYERS", '["("]'], ["MODEL.FREEZE_LAYERS"]),
    (["DATASETS.NAMES", '("HITSZVCM", "BUPTCampus")'], ["DATASETS.NAMES"]),
    (["DATASETS.NAMES", "()"], ["DATASETS.NAMES"]),
    (["MODEL.LOSSES.NAME", "()"], ["MODEL.LOSSES.NAME"]),
    (["DATASETS.AUXILIARY", "True"], ["DATASETS.AUXILIARY"]),
    (["DATASETS.COMBINEALL", "True"], ["DATASETS.COMBINEALL"]),
    (["MODEL.DEVICE", "gpu"], ["MODEL.DEVICE"]),
    (["MODEL.DEVICE", "cuda:99"], ["MODEL.DEVICE"]),
    (["SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.DTYPE", "float16", "MODEL.DEVICE", "cpu"], ["SOLVER.AMP.DTYPE"]),
    (["MODEL.PIXEL_STD", "[0.0, 1.0, 1.0]"], ["MODEL.PIXEL_STD"]),
    (["MODEL.PIXEL_MEAN", "[1.0]"], ["MODEL.PIXEL_MEAN"]),
    (["INPUT.REA.AREA", "[0.5, 0.2]"], ["INPUT.REA.AREA"]),
    (["INPUT.REA.VALUE", "[300, 0, 0]"], ["INPUT.REA.VALUE"]),
    (["INPUT.REA.VALUE", "[0, -5, 0]"], ["INPUT.REA.VALUE"]),
    (["INPUT.REA.VALUE", "[127, 0]"], ["INPUT.REA.VALUE"]),
    (["SOLVER.LR_FACTORS", '["mii.*", 10.0]'], ["SOLVER.LR_FACTORS"]),
    (["SOLVER.STEPS", "[55, 30]"], ["SOLVER.STEPS"]),
    (["MODEL.BACKBONE.CAMERAS", '["3"]'], ["MODEL.BACKBONE.CAMERAS"]),
]


def faults_after_following(cfg, rounds=3):
    """What is left to say once every suggestion has been taken, and what that changed may have asked for in turn."""
    for _ in range(rounds):
        for fault in config_faults(cfg):
            cfg.merge_from_list([fault.key, fault.works])
    return config_faults(cfg)


def assert_suggestions_work(cfg, keys):
    faults = config_faults(cfg)
    assert [fault.key for fault in faults] == keys
    with pytest.raises(ConfigError) as error:
        check_config(cfg)
    for line, fault in zip(str(error.value).splitlines(), faults, strict=True):
        assert line.startswith(f"{fault.key} is ")
        assert f"such as {fault.works!r}." in line
    assert faults_after_following(cfg) == []
    check_config(cfg)


@pytest.mark.parametrize(("overrides", "keys"), CONTRADICTIONS, ids=lambda value: "-".join(value))
def test_a_contradiction_names_its_key_and_a_value_that_works(tmp_path, overrides, keys):
    assert_suggestions_work(small_config(tmp_path / "nowhere", tmp_path, *overrides), keys)


@pytest.mark.parametrize(("key", "value", "near"), BAD_NAMES)
def test_an_unknown_name_has_its_nearest_named(tmp_path, key, value, near):
    cfg = small_config(tmp_path / "nowhere", tmp_path, key, value)
    (fault,) = config_faults(cfg)
    assert (fault.key, fault.works) == (key, near)
    cfg.merge_from_list([key, near])
    # The nearest name may ask for more, such as the host's parts of the baseline; nothing of this key.
    assert key not in [fault.key for fault in config_faults(cfg)]


@pytest.mark.parametrize("key", RANGES)
def test_a_number_out_of_range_has_one_within_named(tmp_path, key):
    allowed, endless = RANGES[key], float("inf")
    wrongs = [allowed.least if allowed.open else allowed.least - 1]
    if allowed.most != endless:
        wrongs.append(allowed.most + 1)
    if isinstance(allowed.works, float) and not allowed.infinite:
        wrongs.append(endless)
    for wrong in wrongs:
        cfg = small_config(tmp_path / "nowhere", tmp_path, key, wrong)
        assert_suggestions_work(cfg, [key])


def test_the_ends_of_a_range_are_within_it(tmp_path):
    for key in ("MODEL.CPC.MOMENTUM", "TEST.RERANK.LAMBDA"):
        for end in (0.0, 1.0):
            assert config_faults(small_config(tmp_path, tmp_path, key, end)) == []
    assert config_faults(small_config(tmp_path, tmp_path, "MODEL.MII.SII.STRIDE", 2)) == []


def test_the_norm_of_gradients_may_be_the_greatest_of_them(tmp_path):
    cfg = small_config(tmp_path, tmp_path)
    cfg.SOLVER.CLIP_GRADIENTS.NORM_TYPE = float("inf")
    assert config_faults(cfg) == []


def test_an_output_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    cfg = small_config(tmp_path / "nowhere", tmp_path)
    for place in ("file", "file/run/1"):
        cfg.OUTPUT_DIR = str(tmp_path / place)
        assert_suggestions_work(cfg, ["OUTPUT_DIR"])


def test_all_faults_of_single_keys_are_told_at_once_and_so_are_all_contradictions(tmp_path):
    cfg = small_config(tmp_path, tmp_path, "SOLVER.BASE_LR", "0.0", "TEST.FRAMES", "evn", "INPUT.SIZE_TEST", "[1]")
    assert [fault.key for fault in config_faults(cfg)] == ["SOLVER.BASE_LR", "TEST.FRAMES", "INPUT.SIZE_TEST"]
    cfg = small_config(tmp_path, tmp_path, "MODEL.CPC.ENABLED", "False", "MODEL.MII.HEADS", "5")
    cfg.SOLVER.IMS_PER_BATCH = 7
    with pytest.raises(ConfigError) as error:
        check_config(cfg)
    assert len(str(error.value).splitlines()) == 3


def test_a_contradiction_is_told_beside_faults_of_other_keys_but_not_if_it_follows_from_them(tmp_path):
    cfg = small_config(tmp_path, tmp_path, "TEST.FRAMES", "evn", "SOLVER.IMS_PER_BATCH", "30", "MODEL.MII.HEADS", "5")
    assert [fault.key for fault in config_faults(cfg)] == ["TEST.FRAMES", "MODEL.MII.HEADS", "SOLVER.IMS_PER_BATCH"]
    # Whether 30 can be shared is known once K is.
    cfg.DATALOADER.NUM_INSTANCE = 0
    assert [fault.key for fault in config_faults(cfg)] == ["DATALOADER.NUM_INSTANCE", "TEST.FRAMES", "MODEL.MII.HEADS"]


def test_an_evaluation_is_not_asked_for_what_training_alone_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("fastreid.utils.comm.get_world_size", lambda: 3)
    overrides = ["SOLVER.IMS_PER_BATCH", "4", "SOLVER.BASE_LR", "0.0", "DATALOADER.SAMPLER_TRAIN", "None"]
    cfg = small_config(tmp_path, tmp_path, *overrides)
    assert len(config_faults(cfg)) == 2
    assert config_faults(cfg, training=False) == []
    # What it does need is looked at: a batch of its own, and the losses, which are built with the model.
    cfg.merge_from_list(["TEST.IMS_PER_BATCH", 2, "MODEL.CPC.ENABLED", False])
    assert [fault.key for fault in config_faults(cfg, training=False)] == ["TEST.IMS_PER_BATCH", "MODEL.CPC.ENABLED"]


def image_model(tmp_path, name, *overrides):
    cfg = get_cfg()
    cfg.merge_from_file(f"configs/baselines/{name}.yml")
    cfg.merge_from_list(["OUTPUT_DIR", str(tmp_path), *overrides])
    return cfg


def test_a_convolution_takes_any_size_at_test_and_a_transformer_its_own_alone(tmp_path):
    larger = ["INPUT.SIZE_TEST", "[320, 160]"]
    assert config_faults(image_model(tmp_path, "bot_r50", *larger)) == []
    assert [fault.key for fault in config_faults(image_model(tmp_path, "vit_b16", *larger))] == ["INPUT.SIZE_TEST"]


def test_batches_are_shared_by_ranks(tmp_path, monkeypatch):
    monkeypatch.setattr("fastreid.utils.comm.get_world_size", lambda: 3)
    (fault,) = config_faults(small_config(tmp_path, tmp_path))
    # 2 modalities × 2 clips × 3 processes; the batch is 8.
    assert (fault.key, fault.works) == ("SOLVER.IMS_PER_BATCH", 12)


def test_the_batch_of_a_refresh_counts_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("fastreid.utils.comm.get_world_size", lambda: 2)
    cfg = small_config(tmp_path, tmp_path, "MODEL.CPC.REFRESH_BATCH", "1")
    assert [(fault.key, fault.works) for fault in config_faults(cfg)] == [("MODEL.CPC.REFRESH_BATCH", 2)]
    cfg.merge_from_list(["MODEL.CPC.ENABLED", False, "MODEL.LOSSES.NAME", ("TripletLoss",)])
    assert config_faults(cfg) == []
    cfg.merge_from_list(["MODEL.CPC.ENABLED", True, "MODEL.META_ARCHITECTURE", "FrameBaseline"])
    assert "MODEL.CPC.REFRESH_BATCH" not in [fault.key for fault in config_faults(cfg)]


def test_several_processes_share_no_numbered_device(tmp_path, monkeypatch):
    cfg = small_config(tmp_path, tmp_path, "MODEL.DEVICE", "cuda:0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert config_faults(cfg) == []
    monkeypatch.setattr("fastreid.utils.comm.get_world_size", lambda: 2)
    (fault,) = config_faults(cfg)
    assert (fault.key, fault.works) == ("MODEL.DEVICE", "cuda")
    cfg.MODEL.DEVICE = "cuda"
    assert config_faults(cfg) == []


def can_step(kind):
    """Whether it moves a scalar, a vector, a matrix and filters by their dense gradients, and asks for no more."""
    parameters = [torch.nn.Parameter(torch.ones((3,) * dimensions)) for dimensions in (0, 1, 2, 4)]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    try:
        kind(parameters, lr=0.1).step()
    except (RuntimeError, TypeError, ValueError):
        return False
    return all((parameter != 1).all() for parameter in parameters)


def test_optimizers_are_those_that_can_step_any_model(tmp_path):
    kinds = {name: kind for name, kind in vars(torch.optim).items() if isinstance(kind, type) and name != "Optimizer"}
    for name, kind in kinds.items():
        faults = config_faults(small_config(tmp_path, tmp_path, "SOLVER.OPT", name))
        assert [fault.key for fault in faults] == ([] if can_step(kind) else ["SOLVER.OPT"])


def test_an_entry_registered_later_is_known(tmp_path, monkeypatch):
    monkeypatch.setitem(LOSS_REGISTRY._obj_map, "LaterLoss", lambda cfg: None)
    assert config_faults(small_config(tmp_path, tmp_path, "MODEL.LOSSES.NAME", '("LaterLoss",)')) == []


def test_every_range_is_of_a_key_that_there_is(tmp_path):
    cfg = small_config(tmp_path, tmp_path)
    for key in {**RANGES, **config_values.FIXED_NAMES, **config_values.REGISTERED}:
        cfg.merge_from_list([key, RANGES[key].works if key in RANGES else "text"])
