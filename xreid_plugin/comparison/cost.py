"""What a model costs: parameters, arithmetic and time of an embedding."""

import json
import timeit
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import CAMIDS, IMAGES
from xreid_plugin.engine.inference import autocast
from xreid_plugin.files import replace_atomically
from xreid_plugin.host import build_model


class Cost(NamedTuple):
    """What a model costs.

    Attributes:
        parameters: number of all parameters, including those that only training uses.
        flops_per_clip: floating-point operations of embedding one clip, a multiplication and an addition as two; only
            matrix products, convolutions and attention count.
        clips_per_second: clips embedded per second in batches of TEST.IMS_PER_BATCH, without reading them.
    """

    parameters: int
    flops_per_clip: int
    clips_per_second: float


def cost_of_run(folder: Path) -> Cost:
    """The cost of a trained run's model, by its config.yaml: measured once, then read from cost.json in its folder."""
    path = folder / "cost.json"
    if path.is_file():
        return Cost(**json.loads(path.read_text()))
    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "config.yaml"))
    cfg.MODEL.BACKBONE.PRETRAIN = False
    # With fresh weights, which cost the same.
    model = build_model(cfg).eval()
    with autocast(cfg):
        flops = flops_of(model, random_clips(cfg, 1))
        rate = clips_per_second(model, random_clips(cfg, cfg.TEST.IMS_PER_BATCH))
    cost = Cost(sum(parameter.numel() for parameter in model.parameters()), flops, rate)
    replace_atomically(path, lambda part: part.write_text(json.dumps(cost._asdict(), indent=2) + "\n"))
    return cost


def random_clips(cfg: Any, count: int) -> dict[str, torch.Tensor]:
    """A batch as the test loader makes it, of noise: images (count, T, 3, H, W) uint8, camids (count,) int64."""
    images = torch.randint(256, (count, cfg.INPUT.CLIP.FRAMES, 3, *cfg.INPUT.SIZE_TEST), dtype=torch.uint8)
    camera = next(iter(cfg.MODEL.BACKBONE.CAMERAS), 0)
    return {IMAGES: images, CAMIDS: torch.full((count,), camera)}


@torch.no_grad()
def flops_of(model: nn.Module, batch: Any) -> int:
    """Floating-point operations of a forward pass in eval mode: two for each multiplication with its addition."""
    fused = torch.backends.mha.get_fastpath_enabled()
    # Attention as matrix products: torch's counter sees nothing of the fused kernels that MultiheadAttention takes.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()


@torch.inference_mode()
def clips_per_second(model: nn.Module, batch: dict[str, torch.Tensor]) -> float:
    """Of one pass, or of as many as take 0.2 seconds, after one that does not count."""

    def embed() -> None:
        model(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    embed()
    passes, seconds = timeit.Timer(embed).autorange()
    return passes * len(batch[IMAGES]) / seconds
