"""From frames on disk to clips: as public code commonly reads them, out of loose files, and out of packs."""

import itertools
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2
from torchvision.transforms.functional import to_tensor

from benchmarks.measure import Work
from benchmarks.report import Case, beside_floor, read_size
from xreid_plugin.data.clips import ClipRequest, TrainClips
from xreid_plugin.data.frame_reader import LooseFrames
from xreid_plugin.data.frames import random_in_chunks
from xreid_plugin.data.pack import Pack, PackedFrames, pack_tracklets
from xreid_plugin.data.tracklet import IMAGES, TARGETS, Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

# The paper's clips, the longest tracklet of HITSZ-VCM, and the augmentation of configs/Base-VVI.yml.
SIZE, CLIPS, FRAMES, LONGEST = (288, 144), 16, 10, 24
AUGMENTATION = ClipAugmentation(flip=0.5, erase=0.5, erase_per="frame", erase_area=(0.02, 0.2))
BATCHES = 2
# The host's MODEL.PIXEL_MEAN and PIXEL_STD, as shares of 255.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = ("288x144", "576x288")
OTHERS = {
    "uint8": "torchvision's decoder, v2 on uint8",
    "draft": "Pillow's draft, torchvision to float",
    "float": "Pillow, torchvision to float",
}
WAYS = {"cold": "cold cache", "warm": "warm cache", "augmented": "warm, augmented"}
FOLDER = tempfile.TemporaryDirectory()


def data_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size of the files, "HxW", and way of others: batches of training, on one thread and without workers."""
    found = []
    for size in sizes or SIZES:
        height, width = read_size(size, "height x width, such as 288x144")
        smaller = height > SIZE[0] and width > SIZE[1]
        for how, against in OTHERS.items():
            if how != "draft" or smaller:
                given = height, width, how
                found.append(Case("data, loose files", size, load, given, against, BATCHES * CLIPS * FRAMES, "frames"))
        found.append(beside_floor(found[-1], "read and decode", partial(decode, height, width)))
    return found


def load(height: int, width: int, how: str, plainly: bool = False) -> Work:
    """Reads batches of 16 clips of 10 frames, from files of that size, with their augmentation."""
    torch.set_num_threads(1)
    made = draw_tracklets(new_folder(), CLIPS, FRAMES, (height, width))
    batches = loader(made, AUGMENTATION, how if plainly else "")
    return Work(lambda: [len(batch) for _ in range(BATCHES) for batch in batches])


def decode(height: int, width: int) -> Work:
    """The same files read and decoded, and nothing else."""
    cv2.setNumThreads(1)
    made = draw_tracklets(new_folder(), CLIPS, FRAMES, (height, width))
    paths = [path for _ in range(BATCHES) for tracklet in made for path in tracklet.paths]
    return Work(lambda: [_decoded(np.fromfile(path, np.uint8)).shape for path in paths])


def _decoded(data: NDArray[np.uint8]) -> NDArray[Any]:
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture


def loader(tracklets: Sequence[Tracklet], augmentation: ClipAugmentation, how: str) -> DataLoader[Any]:
    """One batch of :class:`PlainClips`, or of our clips, which are uint8: the model normalises them on its device."""
    if how:
        return DataLoader(PlainClips(tracklets, augmentation, how), batch_size=CLIPS)
    dataset = TrainClips(tracklets, SIZE, FRAMES, augmentation)
    requests = [ClipRequest(position, seed=position) for position in range(len(tracklets))]
    return DataLoader(dataset, sampler=requests, batch_size=CLIPS, collate_fn=dataset.collate_fn)


class PlainClips(Dataset[dict[str, Any]]):
    """Clips as others read them, (T, 3, H, W): by Pillow and torchvision to normalised floats, or as uint8."""

    def __init__(self, tracklets: Sequence[Tracklet], augmentation: ClipAugmentation, how: str) -> None:
        """``how``: of OTHERS."""
        self.tracklets, self.how = tracklets, how
        self.shape = v2.Compose([v2.Resize(SIZE), v2.RandomHorizontalFlip(augmentation.flip)])
        self.normalise = v2.Normalize(MEAN, STD, inplace=True)
        self.erase = v2.RandomErasing(augmentation.erase, augmentation.erase_area, inplace=True)

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, index: int) -> dict[str, Any]:
        paths = self.tracklets[index].paths
        if self.how == "uint8":
            frames = [decode_jpeg(read_file(path), ImageReadMode.RGB).permute(1, 2, 0) for path in paths]
            # A decoded frame's colours lie side by side. To stack them so, and change all at once, is fastest.
            clip = self.shape(torch.stack(frames).permute(0, 3, 1, 2))
        else:
            clip = torch.stack([self.normalise(to_tensor(self.shape(self._picture(path)))) for path in paths])
        for frame in clip:
            self.erase(frame)
        return {IMAGES: clip, TARGETS: self.tracklets[index].pid}

    def _picture(self, path: str) -> Image.Image:
        picture = Image.open(path)
        if self.how == "draft":
            picture.draft("RGB", SIZE[::-1])
        return picture.convert("RGB")


def pack_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, a number of tracklets: packed files and packed frames, each cold, warm and augmented."""
    found = []
    for size in sizes or ("100",):
        (count,) = read_size(size, "a number of tracklets, such as 100", 1)
        for kind, (how, title) in itertools.product(("files", "frames"), WAYS.items()):
            given, items = (kind, how, count), FRAMES * count
            found.append(Case(f"packed {kind}, {title}", size, epoch, given, "loose files", items, "frames"))
            if how == "warm":
                what = "decoded from memory" if kind == "files" else "copied in memory"
                found.append(beside_floor(found[-1], what, partial(pack_floor, kind, count)))
    return found


def epoch(kind: str, how: str, tracklets: int, plainly: bool = False) -> Work:
    """Reads a clip of every tracklet, in random order, the same in every run; plainly: out of loose files.

    Packed are "files" or decoded "frames". Of WAYS, "cold" drops the data from the page cache first, one call per file,
    as part of the time, and "augmented" makes items of training.
    """
    home = new_folder()
    made = draw_tracklets(home, tracklets, LONGEST, SIZE)
    stored = [Path(path) for tracklet in made for path in tracklet.paths] if plainly else [home / "pack"]
    if not plainly:
        pack_tracklets(made, home, "benchmark", stored[0], size=SIZE if kind == "frames" else None, workers=1)
    os.sync()  # what is not on the disk yet cannot leave the cache

    def reader() -> LooseFrames | PackedFrames:
        return LooseFrames() if plainly else PackedFrames(Pack(stored[0]), home)

    def read(opened: LooseFrames | PackedFrames) -> None:
        rng = np.random.default_rng(0)
        for index in rng.permutation(tracklets):
            opened.read(made[index], random_in_chunks(LONGEST, FRAMES, rng), SIZE)

    def read_cold() -> None:
        for path in stored:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        read(reader())  # the pages of a pack that is open would stay

    if how == "cold":
        return Work(read_cold)
    kept, order = reader(), np.random.default_rng(0).permutation(tracklets).tolist()
    clips = TrainClips(made, SIZE, FRAMES, AUGMENTATION, reader=kept)
    return Work(lambda: [len(clips[ClipRequest(i, i)]) for i in order] if how == "augmented" else read(kept))


def pack_floor(kind: str, tracklets: int) -> Work:
    """As many frames, whose files are decoded from memory, or which are copied, clip by clip."""
    cv2.setNumThreads(1)
    made = draw_tracklets(new_folder(), tracklets, FRAMES, SIZE)
    files = [[np.fromfile(path, np.uint8) for path in tracklet.paths] for tracklet in made]
    if kind == "files":
        return Work(lambda: [_decoded(file).shape for clip in files for file in clip])
    clips = [np.stack([_decoded(file) for file in clip]) for clip in files]
    return Work(lambda: [clip.copy().shape for clip in clips])


def draw_tracklets(home: Path, count: int, frames: int, size: tuple[int, int]) -> list[Tracklet]:
    """Tracklets of coarse shapes under fine noise, no two alike: JPEGs of some 10 KB at 288x144, like a camera's."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        folder = home / f"Train/{number:04d}/rgb/D1"
        folder.mkdir(parents=True)
        paths = [str(folder / f"{frame}.jpg") for frame in range(1, frames + 1)]
        for path in paths:
            coarse = rng.integers(0, 256, (18, 9, 3), dtype=np.uint8)
            shapes = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
            noise = rng.integers(0, 12, (*size, 1), dtype=np.uint8)
            cv2.imwrite(path, cv2.add(shapes, np.repeat(noise, 3, axis=2)), [cv2.IMWRITE_JPEG_QUALITY, 85])
        made.append(Tracklet(paths, number, 1, Modality.VISIBLE, f"train{number:05d}"))
    return made


def new_folder() -> Path:
    """An empty folder, which is removed when the process ends."""
    return Path(tempfile.mkdtemp(dir=FOLDER.name))
