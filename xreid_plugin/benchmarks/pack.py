"""An epoch's reading of frames: out of loose files, out of packed files and out of packed, decoded frames.

Cold means that nothing of the data is in the page cache when an epoch begins. Making it so, with one call per file, is
part of the time.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from xreid_plugin.benchmarks.report import Case, parse_tracklets
from xreid_plugin.data.clips import ClipRequest, TrainClips
from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.frames import random_in_chunks
from xreid_plugin.data.pack.reader import PackedFrames
from xreid_plugin.data.pack.writer import pack_tracklets
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

DEFAULT_SIZES = ("100",)
SIZE = (288, 144)
CLIP = 10
LENGTH = 24  # frames of a tracklet, the most in HITSZ-VCM

_LOOSE, _FILES, _FRAMES = "loose", "files", "frames"


@dataclass(frozen=True)
class _Data:
    """A set on disk, removed along with this object, and how to read it."""

    home: Path
    tracklets: list[Tracklet]
    reader: Callable[[], FrameReader]
    stored: list[Path]

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.home)

    def evict(self) -> None:
        """Drops the set's pages from the page cache; those of a pack that is open would stay."""
        for path in self.stored:
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """Six cases per size, a number of tracklets: files and frames, each cold, warm, and as items of training.

    Raises:
        ValueError: a size is not a number of tracklets.
    """
    return [
        Case(
            name=f"packed {kind}, {what}",
            size=f"{tracklets} clips of {CLIP}",
            module=__name__,
            reference=f"{_LOOSE}_{work}",
            plugin=f"{kind}_{work}",
            arguments={"tracklets": tracklets},
            against="loose files",
            items=CLIP * tracklets,
            unit="frames",
        )
        for tracklets in map(parse_tracklets, sizes)
        for kind in (_FILES, _FRAMES)
        for work, what in (("cold", "cold cache"), ("warm", "warm cache"), ("items", "warm, augmented"))
    ]


def loose_cold(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_LOOSE, tracklets), cold=True)


def files_cold(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_FILES, tracklets), cold=True)


def frames_cold(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_FRAMES, tracklets), cold=True)


def loose_warm(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_LOOSE, tracklets), cold=False)


def files_warm(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_FILES, tracklets), cold=False)


def frames_warm(tracklets: int) -> Callable[[], None]:
    return _epoch(_make(_FRAMES, tracklets), cold=False)


def loose_items(tracklets: int) -> Callable[[], None]:
    return _items(_make(_LOOSE, tracklets))


def files_items(tracklets: int) -> Callable[[], None]:
    return _items(_make(_FILES, tracklets))


def frames_items(tracklets: int) -> Callable[[], None]:
    return _items(_make(_FRAMES, tracklets))


def _epoch(data: _Data, cold: bool) -> Callable[[], None]:
    """Reads a clip of every tracklet, in random order, and the same in every run."""
    kept = None if cold else data.reader()

    def run() -> None:
        if kept is None:
            data.evict()
        reader = kept or data.reader()
        rng = np.random.default_rng(0)
        for index in rng.permutation(len(data.tracklets)):
            reader.read(data.tracklets[index], random_in_chunks(LENGTH, CLIP, rng), SIZE)

    return run


def _items(data: _Data) -> Callable[[], None]:
    """The same as items of training, with the augmentation of configs/Base-VVI.yml."""
    augmentation = ClipAugmentation(flip=0.5, erase=0.5)
    clips = TrainClips(data.tracklets, SIZE, CLIP, augmentation, reader=data.reader())

    def run() -> None:
        for index in np.random.default_rng(0).permutation(len(data.tracklets)):
            clips[ClipRequest(int(index), int(index))]

    return run


def _make(kind: str, tracklets: int) -> _Data:
    """Draws a set; no two of its pictures are alike."""
    home = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    made = [_draw(home, number, rng) for number in range(tracklets)]
    loose = [Path(path) for tracklet in made for path in tracklet.paths]
    if kind == _LOOSE:
        os.sync()  # what is not on the disk yet cannot leave the cache
        return _Data(home, made, LooseFrames, loose)
    file = home / "pack"
    pack_tracklets(made, home, "benchmark", file, size=SIZE if kind == _FRAMES else None, workers=1)
    return _Data(home, made, lambda: PackedFrames(file, home), [file])


def _draw(home: Path, number: int, rng: np.random.Generator) -> Tracklet:
    """Coarse shapes under fine noise: JPEGs of some 10 KB, like a camera's."""
    folder = home / f"Train/{number:04d}/rgb/D1"
    folder.mkdir(parents=True)
    paths = [str(folder / f"{frame}.jpg") for frame in range(1, LENGTH + 1)]
    for path in paths:
        shapes = cv2.resize(rng.integers(0, 256, (18, 9, 3), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 12, (*SIZE, 1), dtype=np.uint8)
        cv2.imwrite(path, cv2.add(shapes, np.repeat(noise, 3, axis=2)), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return Tracklet(paths, number, 1, Modality.VISIBLE, f"train{number:05d}")
