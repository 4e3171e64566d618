"""The words that every other part uses: modality, tracklet, retrieval task and the keys of a batch."""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, overload


class Modality(IntEnum):
    """The one enumeration of modalities; its order is the order of the two blocks of a training batch.

    HITSZ-VCM writes 1 for infrared and 2 for visible, BUPTCampus writes names: the parsers translate, nothing else
    sees those codes.
    """

    INFRARED = 0
    VISIBLE = 1


class Tracklet(NamedTuple):
    """One person, seen by one camera in one modality, over consecutive frames.

    The first three fields stand in the order of the host's ``(img_path, pid, camid)``, so that the host's own counting
    functions work on it.

    Attributes:
        paths: image files in temporal order, at least one.
        pid: identity; labels 0..N-1 in a training set, the dataset's own number in a test set.
        camid: the dataset's own camera number, the same in training and test.
        modality: which sensor.
        name: unique within its dataset and readable, for messages.
    """

    paths: Sequence[str]
    pid: int
    camid: int
    modality: Modality
    name: str


class FramePaths(Sequence[str]):
    """The paths of a tracklet, at least one, in one string.

    As strings of their own, half a million paths fill tens of megabytes, and every forked worker comes to own a copy of
    them, since counting references writes to each.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._joined = "\0".join(paths)  # No path holds a NUL.

    def __len__(self) -> int:
        return self._joined.count("\0") + 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._joined.split("\0")[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined.split("\0"))


class RetrievalTask(NamedTuple):
    """One direction of a test protocol: its queries and its gallery, as indices into the list of test tracklets."""

    query: Sequence[int]
    gallery: Sequence[int]


INFRARED_TO_VISIBLE = "I2V"
VISIBLE_TO_INFRARED = "V2I"

# Keys of a batch. The first three are the host's.
IMAGES = "images"  # (B, T, 3, H, W) uint8, RGB, 0 to 255
TARGETS = "targets"  # (B,) int64, identity
CAMIDS = "camids"  # (B,) int64, the dataset's camera number
MODALITIES = "modalities"  # (B,) int64, values of Modality
INDICES = "indices"  # (B,) int64, position of the tracklet in its set
LENGTHS = "lengths"  # list of B numbers, 1 to T: frames of a test clip before it repeats its last
FAULTS = "faults"  # list of B ClipFaults; only where bad frames are substituted
