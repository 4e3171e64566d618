"""Tracklets to clips: the datasets that a loader reads.

A batch is a dict with the keys of :mod:`xreid_plugin.data.tracklet`: images (B, T, 3, H, W) uint8, and (B,) int64. A
loader asks for a whole batch at once, whose clips are written to one block of memory; nothing is left to collate. Where
bad frames are substituted, FAULTS lists which were bad in each clip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from xreid_plugin.data import frames
from xreid_plugin.data.frame_reader import ClipFaults, FrameReader, LooseFrames, read_substituting
from xreid_plugin.data.tracklet import CAMIDS, FAULTS, IMAGES, INDICES, LENGTHS, MODALITIES, TARGETS, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation, to_planes


class ClipRequest(NamedTuple):
    """What a sampler requests from :class:`TrainClips`: a tracklet's position in the training set, and a seed.

    The seed, of all random draws for this clip, travels with the position so that a clip does not depend on how many
    workers there are or which of them reads it.
    """

    position: int
    seed: int


@dataclass(eq=False)
class _Clips(Dataset[dict[str, Any]]):
    """What both kinds of clips share: the shape of a clip, its labels, and batches in one block.

    Attributes:
        tracklets: the tracklets whose clips are wanted; identities of a training set are labelled 0..N-1.
        size: (H, W) in pixels.
        num_frames: T.
        reader: source of the frames.
        substitute: go on without bad frames, as INPUT.BAD_FRAMES says; else they are an error.
    """

    tracklets: Sequence[Tracklet]
    size: tuple[int, int]
    num_frames: int
    reader: FrameReader = field(default_factory=LooseFrames, kw_only=True)
    substitute: bool = field(default=False, kw_only=True)

    def __getitem__(self, request: Any) -> dict[str, Any]:
        """The only row of a batch of one: images (T, 3, H, W), and scalars."""
        return {key: rows[0] for key, rows in self.__getitems__([request]).items()}

    def __getitems__(self, requests: Sequence[Any]) -> dict[str, Any]:
        """A batch of the clips that were asked for; torch's loaders prefer this method."""
        block = _block((len(requests), self.num_frames, 3, *self.size))
        written = [self._write(clip, request) for clip, request in zip(block, requests, strict=True)]
        indices = [index for index, _ in written]
        shown = [self.tracklets[index] for index in indices]
        batch: dict[str, Any] = {
            IMAGES: block,
            TARGETS: torch.tensor([tracklet.pid for tracklet in shown]),
            CAMIDS: torch.tensor([tracklet.camid for tracklet in shown]),
            MODALITIES: torch.tensor([int(tracklet.modality) for tracklet in shown]),
            INDICES: torch.tensor(indices),
        }
        if self.substitute:
            batch[FAULTS] = [ClipFaults(self.tracklets[index].name, bad) for index, bad in written]
        return batch

    @staticmethod
    def collate_fn(batch: Any) -> Any:
        """The batch as it is; the loader takes this function in place of its own, which joins items."""
        return batch

    def _write(self, clip: torch.Tensor, request: Any) -> tuple[int, list[str]]:
        """Writes the clip asked for, (T, 3, H, W) uint8; its tracklet's position, and paths of frames replaced."""
        raise NotImplementedError

    def _read(self, tracklet: Tracklet, chosen: np.ndarray) -> tuple[np.ndarray, list[str]]:
        if self.substitute:
            return read_substituting(self.reader, tracklet, chosen, self.size)
        return self.reader.read(tracklet, chosen, self.size), []


@dataclass(eq=False)
class TrainClips(_Clips):
    """Training clips, one for each :class:`ClipRequest`: frames at random within T chunks, augmented."""

    augmentation: ClipAugmentation

    @property
    def num_classes(self) -> int:
        """N, under the name that the host's trainer reads."""
        return 1 + max(tracklet.pid for tracklet in self.tracklets)

    def __len__(self) -> int:
        return len(self.tracklets)

    def _write(self, clip: torch.Tensor, request: ClipRequest) -> tuple[int, list[str]]:
        tracklet, rng = self.tracklets[request.position], np.random.default_rng(request.seed)
        pixels, bad = self._read(tracklet, frames.random_in_chunks(len(tracklet.paths), self.num_frames, rng))
        self.augmentation(pixels, clip, rng)
        return request.position, bad


@dataclass(eq=False)
class TestClips(_Clips):
    """Test clips by number, without a random draw: of each tracklet in turn those of :func:`frames.of_test`.

    LENGTHS says how many frames a clip has before it repeats its last, for models to skip.
    """

    mode: str  # "even" or "dense", as TEST.FRAMES.

    def __post_init__(self) -> None:
        clips = [frames.of_test(len(tracklet.paths), self.num_frames, self.mode) for tracklet in self.tracklets]
        # Of each clip, (T,) frames, and the tracklet whose they are.
        self._frames = np.concatenate(clips)
        self._positions = np.repeat(np.arange(len(clips)), [len(of_one) for of_one in clips]).tolist()

    def __len__(self) -> int:
        return len(self._positions)

    def __getitems__(self, requests: Sequence[int]) -> dict[str, Any]:
        """See the base class; with LENGTHS, which stay where the sizes that depend on them have to be known."""
        lengths = [frames.frames_before_repeats(self._frames[request]) for request in requests]
        return {**super().__getitems__(requests), LENGTHS: lengths}

    def _write(self, clip: torch.Tensor, request: int) -> tuple[int, list[str]]:
        index = self._positions[request]
        pixels, bad = self._read(self.tracklets[index], self._frames[request])
        to_planes(pixels, clip)
        return index, bad


def _block(shape: tuple[int, ...]) -> torch.Tensor:
    """Memory for a batch, uint8, not initialised; in a loader's worker, memory that the parent process sees as well."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # As torch's own collating does it: share_memory_() would copy.
    shared = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape)
