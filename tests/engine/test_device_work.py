"""A step of training, a refresh and an evaluation keep a GPU busy: the host reads nothing back on the way."""

from contextlib import nullcontext

import pytest
import torch
from fastreid.utils.events import EventStorage

from tests.device_work import DeviceWork, no_autocast  # noqa: F401
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS
from xreid_plugin.engine.inference import Embedder
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.evaluation.rerank import Expansion, query_expansion
from xreid_plugin.host import build_model

META = "meta"
FRAMES = 10


def batch(config, device=META):
    clips, size = config.SOLVER.IMS_PER_BATCH, config.INPUT.SIZE_TRAIN
    numbers = {name: torch.zeros(clips, dtype=torch.int64, device=device) for name in (TARGETS, CAMIDS, INDICES)}
    modalities = torch.arange(clips, device=device) // (clips // 2)
    images = torch.zeros(clips, config.INPUT.CLIP.FRAMES, 3, *size, dtype=torch.uint8, device=device)
    return {IMAGES: images, MODALITIES: modalities, **numbers}


def config(file, *overrides):
    cfg = get_cfg()
    cfg.merge_from_file(file)
    cfg.merge_from_list(["MODEL.BACKBONE.PRETRAIN", False, "MODEL.HEADS.NUM_CLASSES", 500, *overrides])
    cfg.MODEL.BACKBONE.CAMERAS = list(range(12))
    return cfg


@pytest.fixture(scope="module")
def paper():
    """X-ReID of the paper's size and its configuration, on the meta device."""
    cfg = config("projects/XReID/configs/vcm.yml", "MODEL.DEVICE", META)
    with torch.device(META):
        return cfg, build_model(cfg)


@pytest.mark.usefixtures("no_autocast")
def test_a_step_of_the_papers_size_waits_for_nothing(paper):
    cfg, model = paper
    optimizer = build_optimizer(cfg, model)
    # Torch's fused step is one kernel on CUDA, and does not exist on the meta device.
    assert all(group["fused"] for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group.update(fused=False, foreach=False)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = TrainingStep(model, iter([batch(cfg)] * 2), optimizer, nullcontext(), scaler, period=100)
    with EventStorage(), DeviceWork(META) as work:
        step.run_step()
        model.prototypes.update()
        step.run_step()
    assert work.waits == []


@pytest.mark.usefixtures("no_autocast")
def test_evaluation_and_refresh_of_the_papers_size_wait_for_nothing(paper):
    cfg, model = paper
    model.eval()
    with torch.no_grad(), DeviceWork(META) as work:
        embeddings = Embedder(model, flip=True, autocast=nullcontext())(batch(cfg))
        model.sequence_features(batch(cfg)[IMAGES], [FRAMES, 3] * (cfg.SOLVER.IMS_PER_BATCH // 2))
        query_expansion(embeddings, Expansion())
    assert embeddings.shape == (cfg.SOLVER.IMS_PER_BATCH, 2048)
    assert work.waits == []
