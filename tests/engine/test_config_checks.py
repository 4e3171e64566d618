import pytest
import torch

from tests.data.small_set import small_config
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
    (["INPUT.SIZE_TRAIN", "[50, 24]"], ["INPUT.SIZE_TRAIN", "INPUT.SIZE_TEST"][:1]),
    (["INPUT.SIZE_TEST", "[96, 48]"], ["INPUT.SIZE_TEST"]),
    (["INPUT.SIZE_TRAIN", "[48]"], ["INPUT.SIZE_TRAIN"]),
    (["INPUT.SIZE_TRAIN", '["48", "24"]'], ["INPUT.SIZE_TRAIN"]),
    (["MODEL.MII.HEADS", "5"], ["MODEL.MII.HEADS"]),
    (["MODEL.MII.SII.STRIDE", "3"], ["MODEL.MII.SII.STRIDE"]),
    (["MODEL.MII.LII.STRIDE", "4"], ["MODEL.MII.LII.STRIDE"]),
    (["INPUT.CLIP.FRAMES", "1"], ["INPUT.CLIP.FRAMES"]),
    (["SOLVER.IMS_PER_BATCH", "6"], ["SOLVER.IMS_PER_BATCH"]),
    (["DATALOADER.NUM_INSTANCE", "3"], ["SOLVER.IMS_PER_BATCH"]),
    (["SOLVER.IMS_PER_BATCH", "1", "DATALOADER.SAMPLER_TRAIN", "RandomTrackletSampler"], ["SOLVER.IMS_PER_BATCH"]),
    (["MODEL.CPC.ENABLED", "False"], ["MODEL.CPC.ENABLED"]),
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
    assert [fault.key for fault in faults][: len(keys)] == keys
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
    allowed = RANGES[key]
    below = allowed.least if allowed.open else allowed.least - 1
    above = [] if allowed.most == float("inf") else [allowed.most + 1]
    for wrong in [below, *above, float("inf") if isinstance(allowed.works, float) else below]:
        cfg = small_config(tmp_path / "nowhere", tmp_path, key, wrong)
        assert_suggestions_work(cfg, [key])


def test_the_ends_of_a_range_are_within_it(tmp_path):
    for key in ("MODEL.CPC.MOMENTUM", "TEST.RERANK.LAMBDA"):
        for end in (0.0, 1.0):
            assert config_faults(small_config(tmp_path, tmp_path, key, end)) == []
    assert config_faults(small_config(tmp_path, tmp_path, "MODEL.MII.SII.STRIDE", 2)) == []


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


def test_batches_are_shared_by_ranks(tmp_path, monkeypatch):
    monkeypatch.setattr("xreid_plugin.engine.config_checks.comm.get_world_size", lambda: 3)
    (fault,) = config_faults(small_config(tmp_path, tmp_path))
    # 2 modalities × 2 clips × 3 processes; the batch is 8.
    assert (fault.key, fault.works) == ("SOLVER.IMS_PER_BATCH", 12)


def test_the_batch_of_a_refresh_counts_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("xreid_plugin.engine.config_checks.comm.get_world_size", lambda: 2)
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
    monkeypatch.setattr("xreid_plugin.engine.config_checks.comm.get_world_size", lambda: 2)
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
