"""The recipes of projects/XReID/configs: the paper's, the public code's, and the rows of the paper's tables."""

from pathlib import Path

import pytest
import torch
from fastreid.engine import hooks
from fastreid.engine.train_loop import TrainerBase
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.modeling.tiny_model import make_batch
from xreid_plugin.config import get_cfg
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.host import build_model
from xreid_plugin.modeling.xreid import XReID

CONFIGS = Path(__file__).parents[1] / "projects/XReID/configs"
VCM, BUPT, PUBLIC_CODE = (CONFIGS / f"{name}.yml" for name in ("vcm", "bupt", "vcm_public_code"))
# The row of textual prompts is CLIP-ReID, a module of its own; tests/projects tests it.
ROWS = sorted(path for path in CONFIGS.glob("ablations/*/*.yml") if path.stem != "2_textual_prompts")


def merged(path):
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    return cfg


def buildable(path, tiny=False):
    """Without downloads, and with what the trainer learns from the training set; the tower may be a tiny one."""
    cfg = merged(path)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.HEADS.NUM_CLASSES = 500
    cfg.MODEL.BACKBONE.CAMERAS = list(range(1, 13))
    if tiny:
        cfg.MODEL.BACKBONE.CLIP_MODEL, cfg.MODEL.MII.HEADS = "xreid-tiny", 4
        cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = [32, 16]
    return cfg


def test_the_recipe_is_the_papers():
    cfg = merged(VCM)
    solver = cfg.SOLVER
    assert (solver.OPT, solver.BASE_LR, solver.BIAS_LR_FACTOR) == ("Adam", 5e-6, 2)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_BIAS, solver.WEIGHT_DECAY_NORM) == (1e-4, 1e-4, 1e-4)
    assert (solver.MAX_EPOCH, solver.ITERS_PER_EPOCH) == (60, 300)
    # 2 modalities × P = 4 identities × K = 2 clips.
    assert (solver.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE) == (2 * 4 * 2, 2)

    assert cfg.INPUT.SIZE_TRAIN == cfg.INPUT.SIZE_TEST == [288, 144]
    assert cfg.INPUT.CLIP.FRAMES == 10
    assert (cfg.INPUT.FLIP.ENABLED, cfg.INPUT.FLIP.PROB) == (True, 0.5)
    assert (cfg.INPUT.PADDING.ENABLED, cfg.INPUT.PADDING.SIZE) == (True, 10)
    assert (cfg.INPUT.REA.ENABLED, cfg.INPUT.REA.PROB, cfg.INPUT.REA.PER) == (True, 0.5, "frame")
    assert cfg.INPUT.REA.AREA == [0.02, 0.2]
    # ImageNet's, in grey levels.
    assert pytest.approx([255 * mean for mean in (0.485, 0.456, 0.406)]) == cfg.MODEL.PIXEL_MEAN
    assert pytest.approx([255 * std for std in (0.229, 0.224, 0.225)]) == cfg.MODEL.PIXEL_STD


def test_the_model_is_the_papers():
    model = merged(VCM).MODEL
    backbone, cpc, mii, losses = model.BACKBONE, model.CPC, model.MII, model.LOSSES
    assert (backbone.CLIP_MODEL, backbone.CLIP_TAG, backbone.PRETRAIN) == ("ViT-B-16-quickgelu", "openai", True)
    assert (backbone.CAMERA_EMBEDDING, backbone.SIE_COE, backbone.FREEZE_PATCH) == (True, 1, True)
    assert (cpc.ENABLED, cpc.TEMPERATURE, cpc.MOMENTUM) == (True, 0.05, 0.2)
    assert (cpc.REFRESH_EPOCHS, cpc.UPDATE, cpc.COLLABORATION, cpc.NEGATIVES) == (0, "swap", True, "all")
    assert (mii.HEADS, mii.MLP_RATIO, mii.DETACH, mii.FUSION) == (12, 4, True, "mean")
    assert (mii.SII.ENABLED, mii.SII.STRIDE, mii.SII.DEPTH) == (True, 1, 1)
    assert (mii.LII.ENABLED, mii.LII.STRIDE) == (True, 2)
    assert mii.CII.ENABLED
    assert model.HEADS.TOWER_FEATURE == "both"
    assert set(losses.NAME) == {"CPCL", "TripletLoss", "CrossEntropyLoss", "CMCL"}
    assert (losses.CE.CLIP_SCALE, losses.CE.FRAME_SCALE) == (0.25, 1)
    assert losses.CE.EPSILON == 0
    assert (losses.TRI.MARGIN, losses.TRI.SCALE) == (0.3, 1)
    assert losses.CPCL.SCALE == losses.CMCL.SCALE == 1


def test_bupt_differs_from_vcm_in_its_data_alone():
    vcm, bupt = merged(VCM), merged(BUPT)
    assert (vcm.DATASETS.NAMES, vcm.DATASETS.TESTS) == (("HITSZVCM",), ("HITSZVCM",))
    assert (bupt.DATASETS.NAMES, bupt.DATASETS.TESTS) == (("BUPTCampus",), ("BUPTCampus",))
    assert bupt.DATASETS.MIN_TRACKLET_LENGTH == 2
    bupt.DATASETS, bupt.OUTPUT_DIR = vcm.DATASETS, vcm.OUTPUT_DIR
    assert bupt == vcm


def test_learning_rates_are_the_recipes():
    cfg = buildable(VCM, tiny=True)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    trained = {name: rates[id(p)] for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == len(rates)
    for name, rate in trained.items():
        of_mii = name.startswith(("mii.", "heads.interactions."))
        factor = (10 if of_mii else 1) * (10 if name.endswith("classifier.weight") else 1)
        assert rate == pytest.approx(5e-6 * factor * (2 if name.endswith("bias") else 1)), name
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}


class Schedule(TrainerBase):
    """Sixty epochs of the recipe's 300 iterations in which nothing happens but the host's learning-rate hook."""

    def __init__(self, cfg):
        super().__init__()
        self.grad_scaler, self.delay_epochs = None, cfg.SOLVER.DELAY_EPOCHS
        self.warmup_iters, self.iters_per_epoch = cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.ITERS_PER_EPOCH
        self.max_epoch, self.max_iter = cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.MAX_EPOCH * cfg.SOLVER.ITERS_PER_EPOCH
        self.optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=cfg.SOLVER.BASE_LR)
        schedulers = XReIDTrainer.build_lr_scheduler(cfg, self.optimizer, cfg.SOLVER.ITERS_PER_EPOCH)
        self.register_hooks([hooks.LRScheduler(self.optimizer, schedulers)])
        self.rates = []

    def run_step(self):
        self.optimizer.step()
        self.rates.append(self.optimizer.param_groups[0]["lr"])


def test_the_rate_warms_up_for_ten_epochs_and_falls_at_thirty_and_fifty():
    schedule = Schedule(merged(VCM))
    schedule.train(0, schedule.max_epoch, schedule.iters_per_epoch)
    rates = schedule.rates
    assert len(rates) == 60 * 300
    assert rates[0] == pytest.approx(5e-7)
    assert rates[5 * 300] == pytest.approx((5e-7 + 5e-6) / 2)
    for epoch, rate in [(11, 5e-6), (29, 5e-6), (30, 5e-7), (49, 5e-7), (50, 5e-8), (60, 5e-8)]:
        assert rates[(epoch - 1) * 300 : epoch * 300] == pytest.approx([rate] * 300), epoch


@pytest.mark.parametrize("path", ROWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_parameter_of_a_row_gets_a_gradient_or_is_not_there(path):
    torch.manual_seed(0)
    model = build_model(buildable(path, tiny=True)).train()
    batch = make_batch(frames=2)
    batch["camids"] = torch.tensor([3, 8]).repeat(4)
    sum(model(batch).values()).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_vcm_at_its_real_size():
    """Shapes alone, on tensors without numbers: a training step and an embedding at the paper's size."""
    cfg = buildable(VCM)
    # Its initialisation looks at the numbers that it draws.
    cfg.MODEL.BACKBONE.CAMERA_EMBEDDING = False
    with FakeTensorMode():
        model = XReID(cfg)
        assert model.backbone.grid == (18, 9)
        batch = {
            "images": torch.empty(16, 10, 3, 288, 144, dtype=torch.uint8),
            "targets": torch.zeros(16, dtype=torch.int64),
            "camids": torch.zeros(16, dtype=torch.int64),
            "modalities": torch.zeros(16, dtype=torch.int64),
        }
        losses = model.train()(batch)
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        model.prototypes.update()
        with torch.no_grad():
            assert model.eval()(batch).shape == (16, 2048)
