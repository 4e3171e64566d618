"""X-ReID at the paper's sizes, with random weights and random clips: a training step, the prototypes, an evaluation.

Both sides have the same precision. What bfloat16 alone gains is a case of its own, against the plugin in FLOAT32.
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fastreid.utils.events import EventStorage

from benchmarks.measure import Work
from benchmarks.report import Case, beside_floor, read_size
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
FLOAT32 = "the same in float32"
# ViT-B/16, on frames of SIZE.
TOKENS, WIDTH, ATTENTION_HEADS = 163, 768, 12
FORM = "clips x frames, an even number of clips, such as 16x10"


def step_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, "BxT" clips and frames: ways to be fast, each beside the plain one.

    What is measured is some steps in a row: one whose losses are not read may still be running when the next begins.
    """
    steps, plain, found = 20 if ON_GPU else 1, "eager bfloat16, torch's Adam", []
    for size in sizes or (("16x10",) if ON_GPU else ("4x2",)):
        clips, frames = read_size(size, FORM)
        for how in ("eager", "compiled", "checkpointed"):
            given = clips, frames, steps, how
            found.append(Case(f"step, {how}", size, train, given, plain, clips * steps, "clips"))
        # Forward all blocks; backward, of two products for one, all but the last.
        floor = partial(products, [clips * frames] * steps, 12 + 2 * 11, True)
        found.append(beside_floor(found[-3], "the tower's matrix products", floor))
    return found


def train(clips: int, frames: int, steps: int, how: str, plainly: bool = False) -> Work:
    """Steps of training, without reading data, as a run has them: the fused optimiser, losses read once in 50 steps.

    Or "compiled" or "checkpointed" besides. Plainly: eager, with torch's own Adam, losses read in every step.
    """
    cfg = make_config(frames)
    cfg.MODEL.BACKBONE.GRAD_CHECKPOINTING = how == "checkpointed" and not plainly
    model = make_model(cfg)
    if how == "compiled" and not plainly:
        compile_blocks(model.train(), DEVICE, autocast(bfloat16=True))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-6) if plainly else build_optimizer(cfg, model)
    trainer = make_trainer(model, optimizer, make_batch(clips, frames), True, 1 if plainly else 50)
    return steps_of(trainer, model, steps)


def make_batch(clips: int, frames: int, size: tuple[int, int] | None = None) -> dict[str, torch.Tensor]:
    """Noise as a batch of training, two clips an identity in each modality."""
    pids = torch.arange(clips // 2) // 2
    return {
        IMAGES: make_images(clips, frames, size),
        TARGETS: torch.cat([pids, pids]).to(DEVICE),
        CAMIDS: (torch.arange(clips) % CAMERAS + 1).to(DEVICE),
        MODALITIES: (torch.arange(clips) // (clips // 2)).to(DEVICE),
        INDICES: torch.arange(clips).to(DEVICE),
    }


def make_trainer(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor], half: bool, period: int
) -> TrainingStep:
    """A run's steps, all of one batch; the host's storage stays open, since the process does nothing else."""
    scaler = torch.amp.GradScaler(DEVICE.type, enabled=False)
    EventStorage(0).__enter__()
    return TrainingStep(model, itertools.repeat(batch), optimizer, autocast(half), scaler, period)


def steps_of(trainer: TrainingStep, model: Any, steps: int) -> Work:
    """So many steps, each with the prototypes' update, and the reading of their losses; a first run is not counted."""

    def run() -> None:
        for _ in range(steps):
            trainer.run_step()
            model.prototypes.update()
            trainer.iter += 1
        trainer.read_losses()

    run()
    return Work(run)


def refresh_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Clips' embeddings for the prototypes, by size, "BxT"."""
    sizes = sizes or (("256x10",) if ON_GPU else ("4x2",))
    found = _in_both("prototypes", sizes, FORM, embed, "all tokens", lambda clips: clips, "clips")
    return found + _floors(found, 11, lambda clips, frames: [clips * frames])


def embed(clips: int, frames: int, bfloat16: bool, against: str, plainly: bool = False) -> Work:
    """Clips' features for the prototypes, MODEL.CPC.REFRESH_BATCH clips at a time.

    Plainly: the last block of the tower computes all tokens, and not the class token alone.
    """
    cfg = make_config(frames)
    model, images = make_model(cfg), make_images(clips, frames)
    precision = autocast(bfloat16 and not (plainly and against == FLOAT32))

    def all_tokens(part: torch.Tensor) -> torch.Tensor:
        found = model.backbone((part.flatten(0, 1).float() - model.pixel_mean) / model.pixel_std)
        return torch.cat([found.class_tokens, found.projected], 1).float().unflatten(0, part.shape[:2]).mean(1)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        extract = all_tokens if plainly and against != FLOAT32 else model.sequence_features
        with precision:
            return torch.cat([extract(part) for part in images.split(cfg.MODEL.CPC.REFRESH_BATCH)])

    run()
    return Work(run)


def inference_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Dense evaluation, without reading data, by size, "NxT", tracklets and frames of a clip."""
    form = "tracklets x frames of a clip, such as 200x10"
    sizes, plain = sizes or (("200x10",) if ON_GPU else ("1x10",)), "by tracklet, filled"
    found = _in_both("dense", sizes, form, evaluate, plain, lambda n: sum(tracklet_lengths(n)), "frames")
    return found + _floors(found, 12, lambda tracklets, _: tracklet_lengths(tracklets))


def _in_both(
    name: str, sizes: Sequence[str], form: str, work: Any, plain: str, items: Callable[[int], int], unit: str
) -> list[Case]:
    """Per size: both precisions beside the plain way, then what bfloat16 alone gains."""
    sides = {"float32": (False, plain), "bfloat16": (True, plain), "bfloat16 alone": (True, FLOAT32)}
    found = []
    for size in sizes:
        given = read_size(size, form)
        for title, side in sides.items():
            found.append(Case(f"{name}, {title}", size, work, (*given, *side), side[1], items(given[0]), unit))
    return found


def _floors(cases: Sequence[Case], blocks: int, batches: Callable[[int, int], list[int]]) -> list[Case]:
    """Both precisions beside the bare products of so many blocks, for batches of so many frames."""
    found = []
    for case in cases:
        *size, bfloat16, against = case.arguments
        if against != FLOAT32:
            floor = partial(products, batches(*size), blocks, bfloat16)
            found.append(beside_floor(case, "the tower's matrix products", floor))
    return found


def products(batches: Sequence[int], blocks: int, bfloat16: bool) -> Work:
    """The matrix products of the tower's blocks for batches of so many frames."""
    make = partial(torch.randn, device=DEVICE, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    to_heads, out, up = (make(WIDTH, width * WIDTH) for width in (3, 1, 4))
    down = make(4 * WIDTH, WIDTH)

    @torch.inference_mode()
    def run() -> None:
        for frames in batches:
            tokens = make(frames * TOKENS, WIDTH)
            for _ in range(blocks):
                of_heads = (tokens @ to_heads).view(frames, TOKENS, 3, ATTENTION_HEADS, -1)
                query, key, value = of_heads.permute(2, 0, 3, 1, 4)
                mixed = query @ key.mT @ value
                mixed.reshape_as(tokens) @ out
                tokens @ up @ down

    run()
    return Work(run)


def autocast(bfloat16: bool) -> AbstractContextManager[Any]:
    """The precision of a measurement; without bfloat16 it is float32."""
    return torch.autocast(DEVICE.type, torch.bfloat16) if bfloat16 else nullcontext()


def tracklet_lengths(tracklets: int) -> list[int]:
    """Frames of each, as in HITSZ-VCM's test set: 12 to 24, most of them 24, 23.1 on average."""
    return [18 if number % 7 == 6 else 24 for number in range(tracklets)]


def evaluate(tracklets: int, frames: int, bfloat16: bool, against: str, plainly: bool = False) -> Work:
    """Embeddings of dense clips, as an evaluation makes them: clips in batches, each distinct frame once.

    Plainly: one tracklet's clips at a time, its last frame repeated to fill the last clip.
    """
    in_full = plainly and against == FLOAT32
    model, lengths = make_model(make_config(frames)), tracklet_lengths(tracklets)
    embedder = Embedder(model, False, autocast(bfloat16 and not in_full))
    clips = dense_clips(lengths, frames)
    sizes: int | list[int] = 64 if ON_GPU else 4
    if plainly and not in_full:
        sizes = [-(-length // frames) for length in lengths]
        del clips[LENGTHS]
    parts = zip(*(rows.split(sizes) for rows in clips.values()), strict=True)
    batches = [dict(zip(clips, part, strict=True)) for part in parts]

    @torch.inference_mode()
    def run() -> list[torch.Tensor]:
        return [embedder(batch) for batch in batches]

    run()
    return Work(run)


def dense_clips(tracklets: Sequence[int], frames: int) -> dict[str, torch.Tensor]:
    """The dense clips of tracklets of these lengths, of noise; the last of each repeats its last frame."""
    lengths = torch.tensor([min(frames, length - start) for length in tracklets for start in range(0, length, frames)])
    cameras = torch.ones(len(lengths), dtype=torch.int64)
    images = make_images(len(lengths), frames)
    for clip, length in zip(images, lengths.tolist(), strict=True):
        clip[length:] = clip[length - 1].clone()
    return {IMAGES: images, CAMIDS: cameras.to(DEVICE), LENGTHS: lengths.to(DEVICE)}


def make_images(clips: int, frames: int, size: tuple[int, int] | None = None) -> torch.Tensor:
    """Noise on the device, (B, T, 3, H, W) uint8; of SIZE unless another is given."""
    return torch.randint(256, (clips, frames, 3, *(size or SIZE)), dtype=torch.uint8).to(DEVICE)


def make_config(frames: int, file: str = "vcm.yml") -> Any:
    """A recipe of X-ReID with fresh weights, T frames and HITSZ-VCM's counts."""
    cfg = get_cfg()
    cfg.merge_from_file(str(Path(__file__).parents[2] / "projects/XReID/configs" / file))
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.BACKBONE.CAMERAS = list(range(1, CAMERAS + 1))
    cfg.MODEL.HEADS.NUM_CLASSES = IDENTITIES
    cfg.INPUT.CLIP.FRAMES = frames
    return cfg


def make_model(cfg: Any) -> Any:
    """The model in eval mode, with the same weights in every run."""
    torch.manual_seed(0)
    return build_model(cfg).eval()
