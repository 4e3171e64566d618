"""Tracklets to clips: the datasets that a loader reads.

An item is a dict with the keys of :mod:`xreid_plugin.data.tracklet`: images (T, 3, H, W) uint8, and ints. A loader asks
for the items of a whole batch at once, and gets clips that lie in one block. Where bad frames are substituted, an item
reports its own under FAULTS.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset

from xreid_plugin.data import frames
from xreid_plugin.data.batches import clip_block, collate_clips
from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.substitution import ClipFaults, UnreadableTrackletError, read_substituting
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
    """What both kinds of clips share: the shape of a clip, and batches that are written to one block.

    Attributes:
        collate_fn: joins items; the loader takes it from here.
    """

    collate_fn = staticmethod(collate_clips)

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
        return self.__getitems__([request])[0]

    def __getitems__(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """The items of a batch, whose clips lie one after another in memory; torch's loaders prefer this method."""
        block = clip_block(len(requests), self.num_frames, self.size)
        return [self._item(clip, request) for clip, request in zip(block, requests, strict=True)]

    def _item(self, clip: torch.Tensor, request: Request) -> dict[str, Any]:
        faults = ClipFaults()
        tracklet, index = self._write(clip, request, faults)
        item = {
            IMAGES: clip,
            TARGETS: tracklet.pid,
            CAMIDS: tracklet.camid,
            MODALITIES: int(tracklet.modality),
            INDICES: index,
        }
        return {**item, FAULTS: faults} if self.substitute else item

    def _write(self, clip: torch.Tensor, request: Request, faults: ClipFaults) -> tuple[Tracklet, int]:
        """Writes the clip asked for, (T, 3, H, W) uint8; returns its tracklet and the tracklet's position."""
        raise NotImplementedError

    def _read(self, tracklet: Tracklet, chosen: np.ndarray, faults: ClipFaults) -> np.ndarray:
        if self.substitute:
            return read_substituting(self.reader, tracklet, chosen, self.size, faults)
        return self.reader.read(tracklet, chosen, self.size)


class TrainClips(_Clips[ClipRequest]):
    """Training clips: frames at random within T chunks, augmented.

    Where frames are substituted and a tracklet has none that is readable, another of its identity and modality takes
    its place, drawn by the request's seed: the clip is what it would be had the sampler asked for that tracklet.
    """

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

    def _write(self, clip: torch.Tensor, request: ClipRequest, faults: ClipFaults) -> tuple[Tracklet, int]:
        index, seed = request
        for candidate in itertools.chain([index], self._twins(index, seed)):
            tracklet, rng = self.tracklets[candidate], np.random.default_rng(seed)
            chosen = frames.random_in_chunks(len(tracklet.paths), self.num_frames, rng)
            try:
                pixels = self._read(tracklet, chosen, faults)
            except UnreadableTrackletError as error:
                faults.dropped.append(tracklet.name)
                last_error = error
                continue
            self.augmentation(pixels, clip, rng)
            return tracklet, candidate
        raise UnreadableTrackletError(
            f"All {len(faults.dropped)} tracklets of their identity and modality are unreadable: "
            f"{', '.join(faults.dropped)}. {last_error}"
        )

    def _twins(self, index: int, seed: int) -> Iterator[int]:
        """The other tracklets of an identity in a modality, in random order; looked up when first needed."""
        own = self.tracklets[index]
        twins = [
            position
            for position, other in enumerate(self.tracklets)
            if (other.pid, other.modality) == (own.pid, own.modality) and position != index
        ]
        yield from np.random.default_rng([seed, 1]).permutation(twins).astype(int).tolist()


class TestClips(_Clips[int]):
    """Test clips, without a random draw: one per tracklet (``even``), or as many as cover every frame (``dense``).

    A tracklet without a readable frame is an error even where frames are substituted: what is ranked must be the whole
    test set. For passes over a training set it can be dropped: its clips are blank, and say so.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        size: tuple[int, int],
        num_frames: int,
        mode: str,
        reader: FrameReader | None = None,
        substitute: bool = False,
        drop_unreadable: bool = False,
    ) -> None:
        """
        Args:
            tracklets: the tracklets whose clips are wanted.
            size: (H, W) in pixels.
            num_frames: T.
            mode: "even" or "dense", as TEST.FRAMES.
            reader: source of the frames; None reads the tracklets' files.
            substitute: go on without bad frames, as INPUT.BAD_FRAMES says; else they are an error.
            drop_unreadable: with ``substitute``, whether a tracklet without a readable frame has blank clips.

        Raises:
            ValueError: another mode.
        """
        if mode not in ("even", "dense"):
            raise ValueError(f'TEST.FRAMES is "{mode}"; it must be "even" or "dense".')
        super().__init__(tracklets, size, num_frames, reader, substitute)
        self.drop_unreadable = drop_unreadable
        self.mode = mode
        counts = [
            frames.num_dense_clips(len(tracklet.paths), num_frames) if mode == "dense" else 1 for tracklet in tracklets
        ]
        self._first_clip = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._first_clip[-1])

    def __getitems__(self, requests: Sequence[int]) -> list[dict[str, Any]]:
        """The items of a batch; each says how many frames it has before it repeats its last, for models to skip."""
        items = super().__getitems__(requests)
        for item, clip_number in zip(items, requests, strict=True):
            index, first = self._place(clip_number)
            item[LENGTHS] = min(len(self.tracklets[index].paths) - first, self.num_frames)
        return items

    def _place(self, clip_number: int) -> tuple[int, int]:
        """Position of the clip's tracklet, and how many of its frames are in the clips before this one."""
        index = int(np.searchsorted(self._first_clip, clip_number, side="right")) - 1
        return index, (clip_number - int(self._first_clip[index])) * self.num_frames

    def _write(self, clip: torch.Tensor, clip_number: int, faults: ClipFaults) -> tuple[Tracklet, int]:
        index, first = self._place(clip_number)
        tracklet = self.tracklets[index]
        length = len(tracklet.paths)
        if self.mode == "even":
            chosen = frames.even(length, self.num_frames)
        else:
            chosen = frames.dense(length, self.num_frames)[first // self.num_frames]
        try:
            to_planes(self._read(tracklet, chosen, faults), clip)
        except UnreadableTrackletError:
            if not self.drop_unreadable:
                raise
            clip.zero_()
            faults.dropped.append(tracklet.name)
            faults.blank = True
        return tracklet, index
