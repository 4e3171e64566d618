"""Memory of training's batches, and of a dataset's paths: lists of strings, and our views into one table.

Of the paths' three costs, two are cases: what they take in the process that reads the lists, and in a worker that was
spawned. What a forked worker comes to own shows in no peak, since the pages are resident before they are copied;
:func:`forked_worker` measures it.
"""

import gc
import itertools
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xreid_plugin.benchmarks.report import Case, parse_tracklets
from xreid_plugin.data.batches import collate_clips
from xreid_plugin.data.clips import TrainClips
from xreid_plugin.data.path_table import share_paths
from xreid_plugin.data.samplers import CrossModalityIdentitySampler
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

# The tracklets of HITSZ-VCM, a tenth of them, and ten times as many.
GROWTH_SIZES = ("2200", "22000", "220000")
DEFAULT_SIZES = ("22000",)
FRAMES = 21  # frames of a tracklet, the mean of HITSZ-VCM

BATCHES, BATCH, CLIP, SIZE = 20, 16, 10, (288, 144)

_LISTS, _TABLE = "lists", "table"


class WorkerMemory(NamedTuple):
    """The memory that paths take, in bytes.

    Attributes:
        parent: memory in the process that made them.
        before: memory that a forked worker owns before it reads them.
        after: memory that it owns once it has read every path.
    """

    parent: int
    before: int
    after: int


def cases(sizes: Sequence[str] = DEFAULT_SIZES) -> list[Case]:
    """Three cases per size, a number of tracklets: two of the paths, and batches of training, beside the paths.

    Raises:
        ValueError: a size is not a number of tracklets.
    """
    training = [
        Case(
            name=f"training, {BATCHES} batches",
            size=f"{tracklets} tracklets",
            module=__name__,
            reference=None,
            plugin="batches_of_training",
            arguments={"tracklets": tracklets},
            items=BATCHES * BATCH,
            unit="clips",
            scale=tracklets,
        )
        for tracklets in map(parse_tracklets, sizes)
    ]
    return training + [
        Case(
            name=name,
            size=f"{tracklets} tracklets",
            module=__name__,
            reference=f"{_LISTS}_{work}",
            plugin=f"{_TABLE}_{work}",
            arguments={"tracklets": tracklets},
            against="lists of str",
            reference_bytes=400 * FRAMES * tracklets,
            items=FRAMES * tracklets,
            unit="paths",
            scale=tracklets,
        )
        for tracklets in map(parse_tracklets, sizes)
        for name, work in (("paths, held", "held"), ("paths, sent to a spawned worker", "sent"))
    ]


def lists_held(tracklets: int) -> Callable[[], object]:
    return _keep(lambda: make(_LISTS, tracklets))


def table_held(tracklets: int) -> Callable[[], object]:
    return _keep(lambda: make(_TABLE, tracklets))


def lists_sent(tracklets: int) -> Callable[[], object]:
    content = _pickled(_LISTS, tracklets)
    return _keep(lambda: pickle.loads(content))


def table_sent(tracklets: int) -> Callable[[], object]:
    content = _pickled(_TABLE, tracklets)
    return _keep(lambda: pickle.loads(content))


class BlankFrames:
    """Reads black frames from nowhere: everything is measured but pixels from a disk."""

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """(T, H, W, 3) uint8; looks up the path of each, as a reader of files does."""
        for index in indices:
            assert tracklet.paths[index]
        return np.zeros((len(indices), *size, 3), np.uint8)


def batches_of_training(tracklets: int) -> Callable[[], object]:
    """Draws and makes batches of the paper's size; the tracklets are there before."""
    made = make(_TABLE, tracklets)

    def work() -> None:
        sampler = CrossModalityIdentitySampler(
            pids=[tracklet.pid for tracklet in made],
            modalities=[tracklet.modality for tracklet in made],
            batch_size=BATCH,
            num_instances=2,
            seed=0,
        )
        clips = TrainClips(made, SIZE, CLIP, ClipAugmentation(flip=0.5, erase=0.5), reader=BlankFrames())
        requests = iter(sampler)
        for _ in range(BATCHES):
            collate_clips(clips.__getitems__(list(itertools.islice(requests, BATCH))))

    return work


def make(kind: str, tracklets: int) -> list[Tracklet]:
    """Tracklets named as HITSZ-VCM's are, "lists" or "table"; no files exist at their paths."""
    lists = (_tracklet(number) for number in range(tracklets))
    return list(lists) if kind == _LISTS else share_paths(lists)


def forked_worker(kind: str, tracklets: int) -> WorkerMemory:
    """Forks a worker that reads every path once, as an epoch does; Linux alone.

    Run it in a fresh process, so that its memory is that of the paths.

    Args:
        kind: "lists" or "table".
        tracklets: number of tracklets.
    """
    start = private_bytes()
    made = make(kind, tracklets)
    gc.collect()
    parent = private_bytes() - start
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        before = private_bytes()
        for tracklet in made:
            for index in range(len(tracklet.paths)):
                len(tracklet.paths[index])
        os.write(sending, pickle.dumps((before, private_bytes())))
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        before, after = pickle.load(pipe)
    os.waitpid(child, 0)
    return WorkerMemory(parent, before, after)


def private_bytes() -> int:
    """Memory that this process alone has written to, of which no other shares a page."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty:"))


def _tracklet(number: int) -> Tracklet:
    pid, camera, first = number // 24, number % 12, 1 + FRAMES * (number // 12 % 2)
    folder = f"/data/HITSZ-VCM/Train/{pid:04d}/{('ir', 'rgb')[number % 2]}/D{camera}"
    paths = [f"{folder}/{frame}.jpg" for frame in range(first, first + FRAMES)]
    return Tracklet(paths, pid, camera, Modality(number % 2), f"train{number:05d}_{pid:04d}M{number % 2}D{camera}")


def _pickled(kind: str, tracklets: int) -> bytes:
    """What a parent would send; made in a separate process, so that the one that unpickles has a fresh heap."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(sending, "wb") as pipe:
            pickle.dump(make(kind, tracklets), pipe)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return content


def _keep(work: Callable[[], object]) -> Callable[[], None]:
    """Work whose result outlives it, but not the next run's."""
    kept: list[object] = []

    def run() -> None:
        kept.clear()
        kept.append(work())

    return run


def main() -> None:
    """Prints what ``forked_worker`` finds, per frame; the arguments are its own."""
    kind, tracklets = sys.argv[1], parse_tracklets(sys.argv[2])
    found = forked_worker(kind, tracklets)
    frames, worker = FRAMES * tracklets, found.after - found.before
    print(
        f"{kind}, {tracklets} tracklets, bytes a frame: parent {found.parent / frames:.1f}, "
        f"worker {worker / frames:.1f} ({worker / (1 << 20):.1f} MiB)"
    )


if __name__ == "__main__":
    main()
