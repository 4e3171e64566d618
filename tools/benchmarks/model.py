"""X-ReID at the paper's sizes, with random weights and random clips: a training step, the prototypes, an evaluation."""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from fastreid.utils.events import EventStorage

from benchmarks.measure import Work
from benchmarks.report import Case, read_size
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.engine.inference import Embedder
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.host import build_model, resolve_device
from xreid_plugin.modeling.compilation import compile_blocks

DEVICE = resolve_device("auto")
ON_GPU = DEVICE.type == "cuda"
# HITSZ-VCM's training set, and the paper's batch and frames.
IDENTITIES, CAMERAS, BATCH, SIZE = 500, 12, 16, (288, 144)
FORM = "clips x frames, an even number of clips, such as 16x10"


def step_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size, "BxT" clips and frames, and way to be fast.

    What is measured is some steps in a row: one whose losses are not read may still be running when the next begins.
    """
    steps, found = 20 if ON_GPU else 1, []
    for size in sizes or (("16x10",) if ON_GPU else ("4x2",)):
        clips, frames = read_size(size, FORM)
        for how in ("bfloat16", "compiled", "checkpointed"):
            given = clips, frames, steps, how
            found.append(Case(f"step, {how}", size, train, given, "eager float32", clips * steps, "clips"))
    return found


def train(clips: int, frames: int, steps: int, how: str, plainly: bool = False) -> Work:
    """Steps of training: forward, backward, update of weights and prototypes, without reading data.

    As a run has them: bfloat16, the fused optimiser, losses read once in 50 steps. Or "compiled" or
    "checkpointed" besides. Plainly: eager float32, torch's own Adam, losses read in every step.
    """
    cfg = make_config(frames)
    cfg.MODEL.BACKBONE.GRAD_CHECKPOINTING = how == "checkpointed" and not plainly
    model = make_model(cfg)
    pids = torch.arange(clips // 2) // 2
    batch = {
        IMAGES: make_images(clips, frames),
        TARGETS: torch.cat([pids, pids]).to(DEVICE),
        CAMIDS: (torch.arange(clips) % CAMERAS + 1).to(DEVICE),
        MODALITIES: (torch.arange(clips) // (clips // 2)).to(DEVICE),
        INDICES: torch.arange(clips).to(DEVICE),
    }
    model.train()
    precision = nullcontext() if plainly else torch.autocast(DEVICE.type, torch.bfloat16)
    if how == "compiled" and not plainly:
        compile_blocks(model, DEVICE, precision)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-6) if plainly else build_optimizer(cfg, model)
    scaler = torch.amp.GradScaler(DEVICE.type, enabled=False)
    trainer = TrainingStep(model, itertools.repeat(batch), optimizer, precision, scaler, 1 if plainly else 50)
    trainer.iter = 0
    # Entered for good: the process does nothing else.
    EventStorage(0).__enter__()

    def run() -> None:
        for _ in range(steps):
            trainer.run_step()
            model.prototypes.update()
            trainer.iter += 1
        trainer.read_losses()

    run()
    return Work(run)


def refresh_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size, "BxT": clips' embeddings for the prototypes."""
    found = []
    for size in sizes or (("256x10",) if ON_GPU else ("4x2",)):
        given = read_size(size, FORM)
        found.append(Case("prototypes, embedding", size, embed, given, "float32, with a graph", given[0], "clips"))
    return found


def embed(clips: int, frames: int, plainly: bool = False) -> Work:
    """Clips' features for the prototypes: inference mode, bfloat16, MODEL.CPC.REFRESH_BATCH clips at a time.

    Plainly: in float32, at the batch of training, with a graph that is not needed.
    """
    cfg = make_config(frames)
    model, images = make_model(cfg), make_images(clips, frames)

    def plain() -> torch.Tensor:
        parts = [model.frame_features(part, None) for part in images.split(BATCH)]
        return torch.cat([model.heads.tower_frames(part).mean(1).detach() for part in parts])

    @torch.inference_mode()
    def fast() -> torch.Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            return torch.cat([model.sequence_features(part) for part in images.split(cfg.MODEL.CPC.REFRESH_BATCH)])

    work = Work(plain if plainly else fast)
    work.run()
    return work


def inference_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Dense evaluation, without reading data; one case per size, "NxT", tracklets and frames of a clip."""
    found = []
    for size in sizes or (("200x10",) if ON_GPU else ("3x10",)):
        given = read_size(size, "tracklets x frames of a clip, such as 200x10")
        items = sum(tracklet_lengths(given[0]))
        found.append(Case("dense evaluation", size, evaluate, given, "by tracklet, float32", items, "frames"))
    return found


def tracklet_lengths(tracklets: int) -> list[int]:
    """Frames of each, as in HITSZ-VCM's test set: 12 to 24, most of them 24, 23.1 on average."""
    return [18 if number % 7 == 6 else 24 for number in range(tracklets)]


def evaluate(tracklets: int, frames: int, plainly: bool = False) -> Work:
    """Embeddings of dense clips, as an evaluation makes them: clips in batches, each distinct frame once, in bfloat16.

    Plainly: one tracklet's clips at a time, in float32, its last frame repeated to fill the last clip.
    """
    model, lengths = make_model(make_config(frames)), tracklet_lengths(tracklets)
    embedder = Embedder(model, False, nullcontext() if plainly else torch.autocast(DEVICE.type, torch.bfloat16))
    if plainly:
        batches = [dense_clips([length], frames) for length in lengths]
        for batch in batches:
            del batch[LENGTHS]
    else:
        clips = dense_clips(lengths, frames)
        parts = zip(*(rows.split(64 if ON_GPU else 4) for rows in clips.values()), strict=True)
        batches = [dict(zip(clips, part, strict=True)) for part in parts]

    @torch.inference_mode()
    def run() -> list[torch.Tensor]:
        return [embedder(batch) for batch in batches]

    run()
    return Work(run)


def dense_clips(tracklets: Sequence[int], frames: int) -> dict[str, torch.Tensor]:
    """The dense clips of tracklets of these lengths, of noise."""
    lengths = torch.tensor([min(frames, length - start) for length in tracklets for start in range(0, length, frames)])
    cameras = torch.ones(len(lengths), dtype=torch.int64)
    return {IMAGES: make_images(len(lengths), frames), CAMIDS: cameras.to(DEVICE), LENGTHS: lengths.to(DEVICE)}


def make_images(clips: int, frames: int) -> torch.Tensor:
    """Noise on the device, (B, T, 3, H, W) uint8."""
    return torch.randint(256, (clips, frames, 3, *SIZE), dtype=torch.uint8).to(DEVICE)


def make_config(frames: int) -> Any:
    """X-ReID's recipe with fresh weights, T frames and HITSZ-VCM's counts."""
    cfg = get_cfg()
    cfg.merge_from_file(str(Path(__file__).parents[2] / "projects/XReID/configs/vcm.yml"))
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.BACKBONE.CAMERAS = list(range(1, CAMERAS + 1))
    cfg.MODEL.HEADS.NUM_CLASSES = IDENTITIES
    cfg.INPUT.CLIP.FRAMES = frames
    return cfg


def make_model(cfg: Any) -> Any:
    """The model in eval mode, with the same weights in every run."""
    torch.manual_seed(0)
    return build_model(cfg).eval()
