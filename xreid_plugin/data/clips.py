"""Tracklets to clips: the datasets that a loader reads.

A batch is a dict with the keys of :mod:`xreid_plugin.data.tracklet`: images (B, T, 3, H, W) uint8, and (B,) int64. A
loader asks for a whole batch at once, whose clips are written to one block of memory; nothing is left to collate. Where
bad frames are substituted, FAULTS lists which were bad in each clip.
"""

import math
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from xreid_plugin.data import frames
from xreid_plugin.data.frame_reader import ClipFaults, FrameReader, LooseFrames, read_substituting
from xreid_plugin.data.tracklet import CAMIDS, FAULTS, IMAGES, INDICES, LENGTHS, MODALITIES, TARGETS, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation, to_planes


class ClipRequest(NamedTuple):
    """What a sampler requests from :class:`TrainClips`.

    The seed travels with the index so that a clip depends on the sampler's position alone, and not on how many workers
    there are or which of them reads it.

    Attributes:
        position: the tracklet's position in the training set.
        seed: the seed of all random draws for this clip.
    """

    position: int
    seed: int


Request = TypeVar("Request")


class _Clips(Dataset[dict[str, Any]], Generic[Request]):
    """What both kinds of clips share: the shape of a clip, its labels, and batches in one block."""

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        size: tuple[int, int],
        num_frames: int,
        reader: FrameReader | None,
        substitute: bool,
    ) -> None:
        self.tracklets = tracklets
        self.size = size
        self.num_frames = num_frames
        self.reader = LooseFrames() if reader is None else reader
        self.substitute = substitute

    def __getitem__(self, request: Request) -> dict[str, Any]:
        """The only row of a batch of one: images (T, 3, H, W), and scalars."""
        return {key: rows[0] for key, rows in self.__getitems__([request]).items()}

    def __getitems__(self, requests: Sequence[Request]) -> dict[str, Any]:
        """A batch of the clips that were asked for; torch's loaders prefer this method."""
        block = _block((len(requests), self.num_frames, 3, *self.size))
        bad = [self._write(clip, request) for clip, request in zip(block, requests, strict=True)]
        indices = [self._position(request) for request in requests]
        shown = [self.tracklets[index] for index in indices]
        batch: dict[str, Any] = {
            IMAGES: block,
            TARGETS: torch.tensor([tracklet.pid for tracklet in shown]),
            CAMIDS: torch.tensor([tracklet.camid for tracklet in shown]),
            MODALITIES: torch.tensor([int(tracklet.modality) for tracklet in shown]),
            INDICES: torch.tensor(indices),
        }
        if self.substitute:
            batch[FAULTS] = [ClipFaults(tracklet.name, paths) for tracklet, paths in zip(shown, bad, strict=True)]
        return batch

    @staticmethod
    def collate_fn(batch: Any) -> Any:
        """The batch as it is; the loader takes this function in place of its own, which joins items."""
        return batch

    def _position(self, request: Request) -> int:
        """Where the tracklet of a clip is among the tracklets."""
        raise NotImplementedError

    def _write(self, clip: torch.Tensor, request: Request) -> list[str]:
        """Writes the clip asked for, (T, 3, H, W) uint8; returns the paths of its bad frames that others replace."""
        raise NotImplementedError

    def _read(self, tracklet: Tracklet, chosen: np.ndarray) -> tuple[np.ndarray, list[str]]:
        if self.substitute:
            return read_substituting(self.reader, tracklet, chosen, self.size)
        return self.reader.read(tracklet, chosen, self.size), []


class TrainClips(_Clips[ClipRequest]):
    """Training clips: frames at random within T chunks, augmented."""

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        size: tuple[int, int],
        num_frames: int,
        augmentation: ClipAugmentation,
        reader: FrameReader | None = None,
        substitute: bool = False,
    ) -> None:
        """
        Args:
            tracklets: the training tracklets, with identities labelled 0..N-1.
            size: (H, W) in pixels.
            num_frames: T.
            augmentation: the random changes that are applied to every clip.
            reader: source of the frames; None reads the tracklets' files.
            substitute: go on without bad frames, as INPUT.BAD_FRAMES says; else they are an error.
        """
        super().__init__(tracklets, size, num_frames, reader, substitute)
        self.augmentation = augmentation

    @property
    def num_classes(self) -> int:
        """N, under the name that the host's trainer reads."""
        return 1 + max(tracklet.pid for tracklet in self.tracklets)

    def __len__(self) -> int:
        return len(self.tracklets)

    def _position(self, request: ClipRequest) -> int:
        return request.position

    def _write(self, clip: torch.Tensor, request: ClipRequest) -> list[str]:
        tracklet, rng = self.tracklets[request.position], np.random.default_rng(request.seed)
        pixels, bad = self._read(tracklet, frames.random_in_chunks(len(tracklet.paths), self.num_frames, rng))
        self.augmentation(pixels, clip, rng)
        return bad


class TestClips(_Clips[int]):
    """Test clips, without a random draw: one per tracklet (``even``), or as many as cover every frame (``dense``).

    LENGTHS says how many frames a clip has before it repeats its last, for models to skip.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        size: tuple[int, int],
        num_frames: int,
        mode: str,
        reader: FrameReader | None = None,
        substitute: bool = False,
    ) -> None:
        """
        Args:
            tracklets: the tracklets whose clips are wanted; size, num_frames, reader and substitute: as in training.
            mode: "even" or "dense", as TEST.FRAMES.
        """
        super().__init__(tracklets, size, num_frames, reader, substitute)
        self.mode = mode
        lengths = [len(tracklet.paths) for tracklet in tracklets]
        counts = [frames.num_dense_clips(length, num_frames) if mode == "dense" else 1 for length in lengths]
        self._first_clip = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._first_clip[-1])

    def __getitems__(self, requests: Sequence[int]) -> dict[str, Any]:
        """See :class:`_Clips`; with LENGTHS, which stay where the sizes that depend on them have to be known."""
        lengths = [frames.frames_before_repeats(self._chosen(clip_number)) for clip_number in requests]
        return {**super().__getitems__(requests), LENGTHS: lengths}

    def _chosen(self, clip_number: int) -> np.ndarray:
        """(T,) indices of the clip's frames in its tracklet."""
        index = self._position(clip_number)
        length = len(self.tracklets[index].paths)
        if self.mode == "even":
            return frames.even(length, self.num_frames)
        return frames.dense(length, self.num_frames)[clip_number - int(self._first_clip[index])]

    def _position(self, request: int) -> int:
        return int(np.searchsorted(self._first_clip, request, side="right")) - 1

    def _write(self, clip: torch.Tensor, request: int) -> list[str]:
        pixels, bad = self._read(self.tracklets[self._position(request)], self._chosen(request))
        to_planes(pixels, clip)
        return bad


def _block(shape: tuple[int, ...]) -> torch.Tensor:
    """Memory for a batch, uint8, not initialised; in a loader's worker, memory that the parent process sees as well."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # As torch's own collating does it: share_memory_() would copy.
    shared = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape)
