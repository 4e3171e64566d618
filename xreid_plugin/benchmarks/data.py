"""From JPEG files to a batch on one core: frames as public code commonly reads them, beside ours.

The common way: Pillow decodes, torchvision's transforms resize, flip, convert to float, normalise and erase frame by
frame, and torch's default collating stacks the clips. Ours ends in uint8; the model normalises on its device. Both read
without workers, on one thread, the same files with the augmentation of configs/Base-VVI.yml.
"""

import atexit
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.data.clips import ClipRequest, TrainClips
from xreid_plugin.data.synthetic import SyntheticSettings, write_vcm
from xreid_plugin.data.tracklet import IMAGES, TARGETS, Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

# Sizes of the files, in pixels: the size that is trained on, and twice that.
DEFAULT_SIZES = ("288x144", "576x288")

SIZE = (288, 144)
CLIPS = 16
FRAMES = 10
BATCHES = 2
AUGMENTATION = ClipAugmentation(flip=0.5, erase=0.5, erase_per="frame", erase_area=(0.02, 0.2))
NONE = ClipAugmentation()
# The host's MODEL.PIXEL_MEAN and PIXEL_STD, as shares of 255.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """One case per size of the files, "HxW".

    Raises:
        ValueError: a size cannot be read.
    """
    return [
        Case(
            name="data, loose files",
            size=size,
            module=__name__,
            reference="plain",
            plugin="loose",
            arguments={"height": height, "width": width},
            against="Pillow, torchvision",
            items=BATCHES * CLIPS * FRAMES,
            unit="frames",
        )
        for size in sizes
        for height, width in [parse_frame_size(size)]
    ]


def parse_frame_size(text: str) -> tuple[int, int]:
    """ "HxW" -> (H, W).

    Raises:
        ValueError: it is not a size, or a side is below 16 pixels.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) >= 16 for part in parts):
        raise ValueError(f'"{text}" is no size: write height x width of the files in pixels, such as 288x144')
    return int(parts[0]), int(parts[1])


@functools.cache
def make_tracklets(height: int, width: int) -> list[Tracklet]:
    """A batch of synthetic visible tracklets on disk, about 11 kB a frame of 288x144; gone when the process ends.

    Fewer files than frames are drawn, and reused in turn.
    """
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    root = Path(folder.name) / "set"
    settings = SyntheticSettings(
        train_identities=2, test_identities=2, cameras=2, tracklets=2, frames=(12, 12), size=(height, width)
    )
    write_vcm(settings, root)
    files = itertools.cycle(sorted(map(str, root.glob("*/*/rgb/*/*.jpg"))))
    return [
        Tracklet(list(itertools.islice(files, FRAMES)), number, 1, Modality.VISIBLE, f"T{number}")
        for number in range(CLIPS)
    ]


class PlainClips(Dataset[dict[str, torch.Tensor | int]]):
    """Clips as public code commonly reads them: normalised floats, (T, 3, H, W)."""

    def __init__(self, tracklets: Sequence[Tracklet], augmentation: ClipAugmentation) -> None:
        self.tracklets = tracklets
        self.transform = transforms.Compose(
            [
                transforms.Resize(SIZE),
                transforms.RandomHorizontalFlip(augmentation.flip),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD, inplace=True),
                transforms.RandomErasing(augmentation.erase, augmentation.erase_area),
            ]
        )

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | int]:
        frames = [self.transform(Image.open(path).convert("RGB")) for path in self.tracklets[index].paths]
        return {IMAGES: torch.stack(frames), TARGETS: self.tracklets[index].pid}


def plain(height: int, width: int) -> Callable[[], object]:
    return _reading(plain_loader(make_tracklets(height, width), AUGMENTATION))


def loose(height: int, width: int) -> Callable[[], object]:
    return _reading(loose_loader(make_tracklets(height, width), AUGMENTATION))


def plain_loader(tracklets: Sequence[Tracklet], augmentation: ClipAugmentation) -> DataLoader[object]:
    """One batch of :class:`PlainClips`."""
    return DataLoader(PlainClips(tracklets, augmentation), batch_size=CLIPS)


def loose_loader(tracklets: Sequence[Tracklet], augmentation: ClipAugmentation) -> DataLoader[object]:
    """One batch of our clips."""
    dataset = TrainClips(tracklets, SIZE, FRAMES, augmentation)
    requests = [ClipRequest(position, seed=position) for position in range(len(tracklets))]
    return DataLoader(dataset, sampler=requests, batch_size=CLIPS, collate_fn=dataset.collate_fn)


def _reading(loader: Iterable[object]) -> Callable[[], None]:
    torch.set_num_threads(1)

    def read() -> None:
        for _ in range(BATCHES):
            for _ in loader:
                pass

    return read
