"""A step of training, a refresh and an evaluation keep a GPU busy: the host reads nothing back on the way."""

from contextlib import nullcontext, suppress

import numpy as np
import pytest
import torch
from fastreid.utils.events import EventStorage

from tests.data.small_set import small_config
from tests.device_work import DeviceWork, no_autocast  # noqa: F401
from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.engine.inference import Embedder, embed_clips, extract_sequences
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.metrics import rank_metrics
from xreid_plugin.evaluation.rerank import Expansion, query_expansion, torch_neighbours
from xreid_plugin.host import build_model

META = "meta"
FRAMES = 10
PLANTED = {
    "a value": lambda x: x.sum().item(),
    "a list": lambda x: x.tolist(),
    "a choice": lambda x: 1 if (x > 0).any() else 0,
    "a mask as index": lambda x: x[x > 0],
    "places of a mask": lambda x: (x > 0).nonzero(),
    "numbers made on the CPU": lambda x: x + torch.arange(3),
    "a table made on the CPU": lambda x: x[torch.arange(3)],
    "a copy to the CPU": lambda x: x.cpu(),
    "a copy from the CPU": lambda x: x + torch.arange(3).to(META),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_waits_is_noticed(plant, inference):
    with torch.inference_mode(inference), DeviceWork(META) as work, suppress(NotImplementedError, RuntimeError):
        plant(torch.zeros(3, device=META))
    assert work.waits


def test_what_does_not_wait_is_let_through():
    x = torch.zeros(3, device=META)
    with DeviceWork(META) as work:
        x[torch.arange(3, device=META)].where(x > 0, torch.inf).mul_(torch.tensor(2.0)).copy_(x).to(torch.float64)
    assert work.waits == []


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
def test_the_passes_of_the_papers_size_wait_for_no_batch(paper, small_set, tmp_path):
    cfg, model = paper
    waits_at_end = []

    def batches():
        for _ in range(2):
            yield {**batch(cfg), LENGTHS: [FRAMES, 3] * (cfg.SOLVER.IMS_PER_BATCH // 2)}
        waits_at_end.append(list(work.waits))

    evaluator = CrossModalityEvaluator(cfg, build_dataset(small_config(small_set, tmp_path), "HITSZVCM"))
    with DeviceWork(META) as work:
        embed_clips(Embedder(model, flip=True, autocast=nullcontext()), batches(), evaluator)
        # What they all gave is copied at the end, which tensors without content refuse.
        with pytest.raises(NotImplementedError):
            extract_sequences(model, batches())
        query_expansion(torch.zeros(9, 4, device=META), Expansion())
    assert waits_at_end == [[], []]
    assert len(work.waits) == 1


def test_ranking_waits_as_often_a_block_however_many_queries_it_has():
    def waits(queries):
        # So many of an identity are sorted, as all are on a GPU.
        pids = [np.arange(count) % 2 for count in (queries, 90)]
        dist = torch.randperm(queries * 90).reshape(queries, 90).double()
        with DeviceWork("cpu") as work:
            rank_metrics(dist, *pids, *[np.zeros_like(ids) + side for side, ids in enumerate(pids)])
            torch_neighbours(dist.float(), 5)
        return work.waits

    assert len(waits(6)) == len(waits(60)) <= 4


BASELINES = ("bot_r50", "agw_r50", "sbs_r50", "mgn_r50", "vit_b16", "clip_vit_b16")


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_in_a_baselines_step_nothing_waits_but_the_hosts_own_losses_and_heads(name):
    overrides = ["MODEL.DEVICE", "cpu", "SOLVER.IMS_PER_BATCH", 8, "INPUT.CLIP.FRAMES", 1, "INPUT.SIZE_TRAIN", [96, 32]]
    overrides += ["INPUT.SIZE_TEST", [96, 32]]
    cfg = config(f"configs/baselines/{name}.yml", *overrides)
    model = build_model(cfg).train()
    with EventStorage(), DeviceWork("cpu") as work:
        losses = model(batch(cfg, "cpu"))
        sum(losses.values()).backward()
    print(f"{name}: {len(work.waits)} waits")
    assert all("/fastreid/" in wait for wait in work.waits), work.waits
