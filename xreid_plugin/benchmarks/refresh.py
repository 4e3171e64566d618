"""Prototypes: the update of a step, the means of a refresh, and the embedding that a refresh consists of.

The references are the same work written out: a loop over identities, and embedding as a training step does it, in
float32, with a graph, and at the training batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.benchmarks.workload import IDENTITIES, device, make_batch, make_config, parse_clips, peak_flops
from xreid_plugin.comparison.cost import flops_of
from xreid_plugin.data.tracklet import IMAGES, Modality
from xreid_plugin.host import build_model
from xreid_plugin.modeling.prototypes import PrototypeMemory
from xreid_plugin.modeling.xreid import XReID

WIDTH = 1280
TRAINING_BATCH = 16
# The training tracklets of HITSZ-VCM, and a tenth and a hundredth of them.
GROWTH_SIZES = ("means:98", "means:975", "means:9751")
SIZES_ON_GPU = ("update:16", "means:9751", "embed:256x10")
SIZES_ON_CPU = ("update:16", "means:9751", "embed:4x2")


def cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size: "update:CLIPS", "means:TRACKLETS" or "embed:CLIPSxFRAMES".

    Raises:
        ValueError: a size cannot be read.
    """
    return [_case(size) for size in sizes or (SIZES_ON_GPU if device().type == "cuda" else SIZES_ON_CPU)]


def _case(size: str) -> Case:
    work, _, amount = size.partition(":")
    if work == "embed":
        clips, frames = parse_clips(amount)
        return Case(
            "prototypes, embedding",
            amount,
            __name__,
            "embed_plainly",
            "embed",
            {"clips": clips, "frames": frames},
            against="float32, with a graph",
            items=clips,
            unit="clips",
        )
    if work not in ("update", "means") or not amount.isdecimal() or int(amount) < 1:
        raise ValueError(f'"{size}" is no size: write update:16, means:9751 or embed:64x10')
    return Case(
        f"prototypes, {work}",
        amount,
        __name__,
        f"{work}_by_loop",
        work,
        {"rows": int(amount)},
        against="a loop",
        items=int(amount),
        unit="clips",
        scale=int(amount) if work == "means" else 0,
    )


def update(rows: int) -> Callable[[], object]:
    """The memory's update by a batch."""
    memory, data = _memory(), _features(rows)

    def work() -> torch.Tensor:
        memory.observe(*data)
        memory.update()
        return memory.infrared

    return work


def update_by_loop(rows: int) -> Callable[[], object]:
    """The same, identity by identity."""
    memory, (features, targets, _) = _memory(), _features(rows)

    def work() -> torch.Tensor:
        unit = F.normalize(features)
        for modality in Modality:
            prototypes = memory.of(modality)
            for pid in targets.unique().tolist():
                seen = unit[targets == pid]
                hardest = seen[(seen @ prototypes[pid]).argmin()]
                prototypes[pid] = F.normalize(
                    memory.momentum * prototypes[pid] + (1 - memory.momentum) * hardest, dim=0
                )
        return memory.infrared

    return work


def means(rows: int) -> Callable[[], object]:
    """A refresh, once the features exist."""
    memory, data = _memory(), _features(rows)

    def work() -> torch.Tensor:
        memory.refresh(*data)
        return memory.infrared

    return work


def means_by_loop(rows: int) -> Callable[[], object]:
    """The same, identity by identity."""
    memory, (features, targets, modalities) = _memory(), _features(rows)

    def work() -> torch.Tensor:
        for pid in range(IDENTITIES):
            of_identity = targets == pid
            for modality in Modality:
                chosen = features[of_identity & (modalities == modality)]
                other = features[of_identity & (modalities != modality)]
                memory.of(modality)[pid] = F.normalize((chosen if len(chosen) else other).sum(0), dim=0)
        return memory.infrared

    return work


class Embedding:
    """Embeds clips for the prototypes.

    Attributes:
        flops: its floating-point operations.
        peak_flops: operations a second that the device can do in bfloat16; 0 where that is not known.
    """

    def __init__(self, clips: int, frames: int) -> None:
        cfg = make_config(frames)
        self._model = _model(cfg)
        self._batch = make_batch(clips, frames)
        self._size = cfg.MODEL.CPC.REFRESH_BATCH
        self._precision = torch.autocast(device().type, torch.bfloat16)
        first = {key: values[:1] for key, values in self._batch.items()}
        self.flops = clips * flops_of(PrototypeFeatures(self._model), first)
        self.peak_flops = peak_flops()
        self()

    @torch.inference_mode()
    def __call__(self) -> torch.Tensor:
        """The embeddings, (clips, F)."""
        with self._precision:
            return torch.cat(
                [self._model.prototype_features(images) for images in self._batch[IMAGES].split(self._size)]
            )


class PrototypeFeatures(torch.nn.Module):
    """The model as a refresh calls it."""

    def __init__(self, model: XReID) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """z of a batch's clips."""
        return self.model.prototype_features(batch[IMAGES])


def embed(clips: int, frames: int) -> Callable[[], object]:
    """The embedding as a refresh does it: inference mode, bfloat16, MODEL.CPC.REFRESH_BATCH clips at a time."""
    return Embedding(clips, frames)


def embed_plainly(clips: int, frames: int) -> Callable[[], object]:
    """In float32, at the batch of training, with a graph that is not needed."""
    model, batch = _model(make_config(frames)), make_batch(clips, frames)

    def work() -> torch.Tensor:
        parts = [model.frame_features(images, None) for images in batch[IMAGES].split(TRAINING_BATCH)]
        return torch.cat([model.heads.tower.feature(part).detach() for part in parts])

    work()
    return work


def _model(cfg: object) -> XReID:
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    assert isinstance(model, XReID)
    return model


def _memory() -> PrototypeMemory:
    memory = PrototypeMemory(IDENTITIES, WIDTH, momentum=0.1, update="joint").to(device())
    memory.refresh(*_features(2 * IDENTITIES))
    return memory


def _features(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of two modalities in turn; all identities occur if there are enough rows."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(rows, WIDTH, generator=generator)
    place = torch.arange(rows)
    return features.to(device()), (place // 2 % IDENTITIES).to(device()), (place % 2).to(device())
