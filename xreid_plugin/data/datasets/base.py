"""What both datasets share: finding and reading a copy, the length filter, labels, the two tasks and the counts."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import Dataset
from tabulate import tabulate

from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, Modality, RetrievalTask, Tracklet

logger = logging.getLogger(__name__)

TRAIN = "train"
# A set of drawn people has this file in its folder: its layout and how it was drawn.
DRAWN = "synthetic.json"


class ListedTracklets(NamedTuple):
    """Everything that a dataset's lists name, before any filter."""

    train: Sequence[Tracklet]  # ``pid`` is the dataset's own number.
    test: Sequence[Tracklet]  # Each once.
    tasks: dict[str, RetrievalTask]  # By direction, indices into ``test``.


class SetCounts(NamedTuple):
    """What one set holds in one modality: tracklets listed, those kept as long enough, and what these have."""

    listed: int
    kept: int
    identities: int
    frames: int
    cameras: int


class VideoCrossModalityDataset(Dataset):
    """A dataset of tracklets in two modalities, with one retrieval task for each direction.

    Attributes:
        default_min_length: shortest tracklet that counts, in frames, unless another length is asked for.
        home: the dataset's own folder; the paths of all frames begin with it.
        train: training tracklets, ``pid`` in 0..num_train_pids-1 in the order of the dataset's own numbers.
        test: test tracklets, each once, ``pid`` the dataset's own number.
        tasks: "I2V" and "V2I", indices into ``test``.
        query, gallery: those of I2V, under the names that the host knows.
        train_identities: the dataset's own number of each label.
        cameras: camera numbers of the training set, sorted.
        full_copy: what a full copy holds under the default length, nothing where that is not known: training and test
            "identities"; by set and modality, as in "I2V query infrared", tracklets and frames.
        counts: by set ("train", "I2V query", "I2V gallery", "V2I query", "V2I gallery") and modality.
        protocol: the same facts and the options that led to them, ready for JSON, the same wherever the copy lies.
    """

    default_min_length: ClassVar[int]
    full_copy: Mapping[str, tuple[int, int]] = {}
    home: Path
    train: list[Tracklet]
    query: list[Tracklet]
    gallery: list[Tracklet]

    def __init__(
        self, listed: ListedTracklets, *, min_length: int, options: dict[str, object] | None = None, **kwargs: Any
    ) -> None:
        """Filters and labels what the subclass has read.

        Args:
            listed: everything that the dataset's lists name.
            min_length: shortest tracklet that counts, in frames; 0 for the dataset's default.
            options: further options of the subclass, for ``protocol``.
            **kwargs: the host's.

        Raises:
            ValueError: ``min_length`` leaves a set empty, or an identity is in both training and test.
        """
        if missing := [name for name in ("default_min_length", "home") if not hasattr(self, name)]:
            raise ValueError(f"{type(self).__name__} must set {' and '.join(missing)}; see docs/extending.md.")
        shared = sorted({tracklet.pid for tracklet in listed.train} & {tracklet.pid for tracklet in listed.test})
        if shared:
            raise ValueError(
                f"{type(self).__name__}: identities are in both training and test, such as {shared[0]}: no result on "
                "them would mean anything. Take the lists of both from the same release of the dataset."
            )
        min_length = min_length or self.default_min_length
        train = [tracklet for tracklet in listed.train if len(tracklet.paths) >= min_length]
        self.train_identities = tuple(sorted({tracklet.pid for tracklet in train}))
        label = {identity: index for index, identity in enumerate(self.train_identities)}
        train = [tracklet._replace(pid=label[tracklet.pid]) for tracklet in train]
        position = [index for index, tracklet in enumerate(listed.test) if len(tracklet.paths) >= min_length]
        self.test = [listed.test[index] for index in position]
        after = {index: number for number, index in enumerate(position)}
        self.tasks = {
            name: RetrievalTask(*(tuple(after[i] for i in side if i in after) for side in task))
            for name, task in listed.tasks.items()
        }
        self.cameras = tuple(sorted({tracklet.camid for tracklet in train}))
        self.counts = {TRAIN: _counts(listed.train, train)}
        for name, task in self.tasks.items():
            for role, before, now in zip(task._fields, listed.tasks[name], task, strict=True):
                kept = [self.test[i] for i in now]
                self.counts[f"{name} {role}"] = _counts([listed.test[i] for i in before], kept)
        for name, by_modality in self.counts.items():
            if not any(counts.kept for counts in by_modality.values()):
                raise ValueError(
                    f"{type(self).__name__}: no tracklet of {min_length} frames or more is left in '{name}'; "
                    "lower DATASETS.MIN_TRACKLET_LENGTH or complete the copy of the dataset."
                )
        self.protocol = {
            "dataset": type(self).__name__,
            "drawn": (self.home / DRAWN).is_file(),
            "min_length": min_length,
            **(options or {}),
            "identities": {TRAIN: self.num_train_pids, "test": len({tracklet.pid for tracklet in self.test})},
            "sets": {
                name: {modality.name.lower(): counts._asdict() for modality, counts in by_modality.items()}
                for name, by_modality in self.counts.items()
            },
        }
        query, gallery = ([self.test[index] for index in side] for side in self.tasks[INFRARED_TO_VISIBLE])
        super().__init__(train, query, gallery, **kwargs)

    @property
    def num_train_pids(self) -> int:
        """Number of training identities; labels run from 0 to one below it."""
        return len(self.train_identities)

    def show_train(self) -> None:
        """Logs a table of the training set, one row per modality."""
        self._show([TRAIN])

    def show_test(self) -> None:
        """Logs a table of the query and gallery of each task, one row per modality."""
        self._show([name for name in self.counts if name != TRAIN])

    def _show(self, sets: Sequence[str]) -> None:
        headers = ["subset", "modality", "# tracklets", "# ids", "# frames", "# cameras"]
        rows = [
            [name, modality.name.lower(), counts.kept, counts.identities, counts.frames, counts.cameras]
            for name in sets
            for modality, counts in self.counts[name].items()
            if counts.listed
        ]
        table = tabulate(rows, headers=headers, tablefmt="pipe", numalign="left")
        drawn = " layout, drawn people" if self.protocol["drawn"] else ""
        logger.info(f"=> Loaded {type(self).__name__}{drawn}:\n{table}")


def tracklet_dataset(name: str) -> type[VideoCrossModalityDataset] | None:
    """The dataset of tracklets that is registered with the host under this name, a user's own among them; or None."""
    try:
        kind = DATASET_REGISTRY.get(name)
    except KeyError:
        return None
    return kind if isinstance(kind, type) and issubclass(kind, VideoCrossModalityDataset) else None


def _counts(listed: Sequence[Tracklet], kept: Sequence[Tracklet]) -> dict[Modality, SetCounts]:
    def count(modality: Modality) -> SetCounts:
        ours = [tracklet for tracklet in kept if tracklet.modality == modality]
        return SetCounts(
            listed=sum(tracklet.modality == modality for tracklet in listed),
            kept=len(ours),
            identities=len({tracklet.pid for tracklet in ours}),
            frames=sum(len(tracklet.paths) for tracklet in ours),
            cameras=len({tracklet.camid for tracklet in ours}),
        )

    return {modality: count(modality) for modality in Modality}


def find_root(root: str | Path, folder: str, markers: Sequence[str], origin: str) -> Path:
    """A dataset's own folder: ``root`` itself, or ``folder`` inside it (the host's convention).

    It is known by one of the ``markers``, files in it; ``origin`` says where to get the dataset.

    Raises:
        FileNotFoundError: neither folder holds a marker; the message says what was looked for, where, and what to do.
    """
    base = Path(root).expanduser()
    candidates = (base, base / folder)
    for candidate in candidates:
        if any((candidate / marker).is_file() for marker in markers):
            return candidate
    raise FileNotFoundError(
        f"{folder} was not found: looked for {' or '.join(markers)} in {' and in '.join(map(str, candidates))} "
        f"(working folder {Path.cwd()}). {origin} Then name its folder, or the folder that holds {folder}, by a "
        "tool's --root, the config key DATASETS.ROOT or the environment variable FASTREID_DATASETS. "
        "To try the code without it, `make demo` runs on synthetic data."
    )


def resolve_below(root: Path, relative: str) -> Path:
    """The place of a folder that a list names below the dataset's folder of frames, without links and without "..".

    ``root`` may be a link, the owner's own choice, and the place need not exist. ValueError: it leads out of ``root``.
    """
    place = Path(os.path.realpath(root / relative))
    if not place.is_relative_to(os.path.realpath(root)):
        raise ValueError(f"{root / relative} leads to {place}, out of {root}: put the frames themselves there")
    return place


def read_lines(file: Path) -> list[str]:
    """The lines of a list, without surrounding blanks and without blank lines at the end.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, not text, or a folder or a pipe.
    """
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is a folder, a pipe or a device, and no list: put the dataset's own file there.")
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: this copy of the dataset is incomplete; copy the file again.")
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    if not lines:
        raise ValueError(f"{file}: the file is empty; expected one entry a line. Copy the file again.")
    return lines


def line_error(file: Path, number: int, text: str, expected: str) -> ValueError:
    """The error for line ``number``, from 1, of a list: its text, and what should be there."""
    return ValueError(f"{file}, line {number}: {text!r}: {expected}")
