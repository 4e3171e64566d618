"""Tracklets to clips: the datasets that a loader reads.

An item is a dict with the keys of :mod:`xreid_plugin.data.tracklet`: images (T, 3, H, W) uint8, and ints.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from xreid_plugin.data import frames
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation, read_frames


class ClipRequest(NamedTuple):
    """What a sampler asks of :class:`TrainClips`.

    The seed travels with the index so that a clip depends on the sampler's position alone, and not on how many workers
    there are or which of them reads it.

    Attributes:
        position: of the tracklet in the training set.
        seed: of all random draws for this clip.
    """

    position: int
    seed: int


class TrainClips(Dataset[dict[str, Any]]):
    """Training clips: frames at random within T chunks, augmented."""

    def __init__(
        self, tracklets: Sequence[Tracklet], size: tuple[int, int], num_frames: int, augmentation: ClipAugmentation
    ) -> None:
        """
        Args:
            tracklets: with identities labelled 0..N-1.
            size: (H, W) in pixels.
            num_frames: T.
            augmentation: applied to every clip.
        """
        self.tracklets = tracklets
        self.size = size
        self.num_frames = num_frames
        self.augmentation = augmentation

    @property
    def num_classes(self) -> int:
        """N, the name by which the host's trainer asks for it."""
        return 1 + max(tracklet.pid for tracklet in self.tracklets)

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, request: ClipRequest | int) -> dict[str, Any]:
        # The host's own samplers yield bare indices; torch's generator, which workers seed, then gives the seed.
        index, seed = request if isinstance(request, tuple) else (request, int(torch.randint(2**62, ())))
        rng = np.random.default_rng(seed)
        tracklet = self.tracklets[index]
        chosen = frames.random_in_chunks(len(tracklet.paths), self.num_frames, rng)
        clip = _load(tracklet, chosen, self.size)
        return _item(self.augmentation(clip, rng), tracklet, index)


class TestClips(Dataset[dict[str, Any]]):
    """Test clips, without a random draw: one a tracklet (``even``), or as many as cover every frame (``dense``)."""

    def __init__(self, tracklets: Sequence[Tracklet], size: tuple[int, int], num_frames: int, mode: str) -> None:
        """
        Args:
            tracklets: whose clips are wanted.
            size: (H, W) in pixels.
            num_frames: T.
            mode: "even" or "dense", as TEST.FRAMES.

        Raises:
            ValueError: another mode.
        """
        if mode not in ("even", "dense"):
            raise ValueError(f'TEST.FRAMES is "{mode}"; it must be "even" or "dense".')
        self.tracklets = tracklets
        self.size = size
        self.num_frames = num_frames
        self.mode = mode
        counts = [
            frames.num_dense_clips(len(tracklet.paths), num_frames) if mode == "dense" else 1 for tracklet in tracklets
        ]
        self._first_clip = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._first_clip[-1])

    def __getitem__(self, clip_number: int) -> dict[str, Any]:
        index = int(np.searchsorted(self._first_clip, clip_number, side="right")) - 1
        tracklet = self.tracklets[index]
        length = len(tracklet.paths)
        if self.mode == "even":
            chosen = frames.even(length, self.num_frames)
        else:
            chosen = frames.dense(length, self.num_frames)[clip_number - self._first_clip[index]]
        return _item(_load(tracklet, chosen, self.size), tracklet, index)


def _load(tracklet: Tracklet, chosen: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    pixels = read_frames([tracklet.paths[i] for i in chosen], size, tracklet.name)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _item(clip: torch.Tensor, tracklet: Tracklet, index: int) -> dict[str, Any]:
    return {
        IMAGES: clip,
        TARGETS: tracklet.pid,
        CAMIDS: tracklet.camid,
        MODALITIES: int(tracklet.modality),
        INDICES: index,
    }
