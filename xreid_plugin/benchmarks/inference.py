"""Dense evaluation, without reading data: tracklet by tracklet beside clips of all tracklets in one batch."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.benchmarks.workload import CAMERAS, device, make_config, peak_flops
from xreid_plugin.comparison.cost import flops_of
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, LENGTHS
from xreid_plugin.engine.inference import Embedder
from xreid_plugin.host import build_model

# Test tracklets of HITSZ-VCM have 12 to 24 frames, 23.1 on average: most have 24.
SHORTEST, LONGEST, FULL = 12, 24, 0.85
BATCH_ON_GPU, BATCH_ON_CPU = 64, 4
SIZES_ON_GPU, SIZES_ON_CPU = ("200x10",), ("3x10",)

Batch = dict[str, torch.Tensor]


def cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size: "NxT", tracklets and frames of a clip.

    Raises:
        ValueError: a size cannot be read.
    """
    made = []
    for size in sizes or (SIZES_ON_GPU if device().type == "cuda" else SIZES_ON_CPU):
        parts = size.split("x")
        if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ValueError(f'"{size}" is no size: write tracklets x frames of a clip, such as 200x10')
        arguments = {"tracklets": int(parts[0]), "frames": int(parts[1])}
        made.append(
            Case(
                "dense evaluation",
                size,
                __name__,
                "by_tracklet",
                "by_batch",
                arguments,
                against="by tracklet, float32",
                items=int(sum(tracklet_lengths(arguments["tracklets"]))),
                unit="frames",
            )
        )
    return made


def tracklet_lengths(tracklets: int) -> list[int]:
    """Frames of each tracklet, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(SHORTEST, LONGEST, (tracklets,), generator=generator)
    full = torch.rand(tracklets, generator=generator) < FULL
    drawn: list[int] = lengths.where(~full, LONGEST).tolist()
    return drawn


def by_tracklet(tracklets: int, frames: int) -> Callable[[], object]:
    """One tracklet's clips at a time, in float32, its last frame repeated to fill the last clip."""
    model = _model(frames)
    batches = [_clips([length], frames) for length in tracklet_lengths(tracklets)]
    for batch in batches:
        del batch[LENGTHS]
    embedder = Embedder(model, flip=False, autocast=nullcontext())

    @torch.inference_mode()
    def work() -> list[torch.Tensor]:
        return [embedder(batch).mean(0) for batch in batches]

    work()
    return work


class Dense:
    """Clips of all tracklets in batches, each distinct frame once, in bfloat16.

    Attributes:
        flops: its floating-point operations.
        peak_flops: operations a second that the device can do in bfloat16; 0 where that is not known.
    """

    def __init__(self, tracklets: int, frames: int) -> None:
        model = _model(frames)
        clips = _clips(tracklet_lengths(tracklets), frames)
        size = BATCH_ON_GPU if device().type == "cuda" else BATCH_ON_CPU
        count = len(clips[IMAGES])
        self._batches = [{key: rows[i : i + size] for key, rows in clips.items()} for i in range(0, count, size)]
        self._embedder = Embedder(model, False, torch.autocast(device().type, torch.bfloat16))
        whole = {key: rows[:1] for key, rows in clips.items() if key != LENGTHS}
        self.flops = flops_of(model, whole) * sum(tracklet_lengths(tracklets)) / frames
        self.peak_flops = peak_flops()
        self()

    @torch.inference_mode()
    def __call__(self) -> torch.Tensor:
        """The embeddings, (clips, F)."""
        return torch.cat([self._embedder(batch) for batch in self._batches])


def by_batch(tracklets: int, frames: int) -> Callable[[], object]:
    """The work as an evaluation does it."""
    return Dense(tracklets, frames)


def _model(frames: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(make_config(frames)).eval()


def _clips(tracklets: Sequence[int], frames: int) -> Batch:
    """The dense clips of tracklets of these lengths, of noise."""
    lengths = torch.tensor([min(frames, length - start) for length in tracklets for start in range(0, length, frames)])
    images = torch.randint(256, (len(lengths), frames, 3, 288, 144), dtype=torch.uint8)
    batch = {IMAGES: images, CAMIDS: torch.full((len(lengths),), CAMERAS[0]), LENGTHS: lengths}
    return {name: values.to(device()) for name, values in batch.items()}
