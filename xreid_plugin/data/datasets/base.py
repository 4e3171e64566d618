"""What both datasets share: the length filter, training labels, the two retrieval tasks, and the counts of a run."""

import logging
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from fastreid.data.datasets.bases import Dataset
from tabulate import tabulate

from xreid_plugin.data.datasets.files import MetadataError
from xreid_plugin.data.path_table import share_paths
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, Modality, RetrievalTask, Tracklet
from xreid_plugin.words import counted

logger = logging.getLogger(__name__)

TRAIN = "train"
_NAMES_SHOWN = 3


class ListedTracklets(NamedTuple):
    """Everything that a dataset's lists name, before any filter.

    Attributes:
        train: training tracklets; ``pid`` is the dataset's own number.
        test: test tracklets, each once.
        tasks: by direction, indices into ``test``.
        mixed: names of tracklets that hold frames of another identity, camera or modality than their line says.
    """

    train: Sequence[Tracklet]
    test: Sequence[Tracklet]
    tasks: dict[str, RetrievalTask]
    mixed: frozenset[str]


class SetCounts(NamedTuple):
    """What one set holds in one modality.

    Attributes:
        listed: tracklets that the dataset's lists name.
        kept: those that are long enough; the figures below count only these.
        identities: different identities.
        frames: frames.
        cameras: different cameras.
    """

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
        query: the queries of I2V, under the name that the host knows.
        gallery: the gallery of I2V, likewise.
        train_identities: the dataset's own number of each label.
        cameras: camera numbers of the training set, sorted.
        mixed: names of kept tracklets with frames of another identity, camera or modality than their line says.
        counts: by set ("train", "I2V query", "I2V gallery", "V2I query", "V2I gallery") and modality.
        protocol: the same facts and the options that led to them, ready for JSON, the same wherever the copy lies.
    """

    default_min_length: ClassVar[int]
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
            **kwargs: the host's ``transform``, ``mode`` and ``verbose``.

        Raises:
            ValueError: ``min_length`` is negative or leaves a set empty, or ``combineall`` is asked for.
            MetadataError: an identity is in both training and test.
        """
        min_length = min_length or self.default_min_length
        if min_length < 1:
            raise ValueError(
                f"min_length is {min_length}; expected a number of frames, or 0 for the dataset's default."
            )
        if kwargs.get("combineall"):
            raise ValueError("DATASETS.COMBINEALL trains on test identities, which no task here allows; set it False.")
        self._refuse_shared_identities(listed)

        long_train = [tracklet for tracklet in listed.train if len(tracklet.paths) >= min_length]
        self.train_identities = tuple(sorted({tracklet.pid for tracklet in long_train}))
        label = {identity: index for index, identity in enumerate(self.train_identities)}
        train = [tracklet._replace(pid=label[tracklet.pid]) for tracklet in long_train]

        test = [tracklet for tracklet in listed.test if len(tracklet.paths) >= min_length]
        home = str(self.home)
        shared = share_paths(tracklet._replace(home=home) for tracklet in (*train, *test))
        train, self.test = shared[: len(train)], shared[len(train) :]
        self.tasks = _tasks_of_long_tracklets(listed, min_length)
        self.cameras = tuple(sorted({tracklet.camid for tracklet in train}))
        self.counts = {TRAIN: _count(listed.train, train)}
        for name, task in self.tasks.items():
            for role, kept, before in zip(RetrievalTask._fields, task, listed.tasks[name], strict=True):
                self.counts[f"{name} {role}"] = _count([listed.test[i] for i in before], [self.test[i] for i in kept])
        self._refuse_empty_sets(min_length)

        self.mixed = tuple(t.name for t in (*train, *self.test) if t.name in listed.mixed)
        if self.mixed:
            logger.warning(
                "%s: %s frames of another identity, camera or modality than the list says, such as %s; kept as listed, "
                "as published results keep them.",
                type(self).__name__,
                counted(len(self.mixed), "tracklet holds", "tracklets hold"),
                ", ".join(self.mixed[:_NAMES_SHOWN]),
            )
        self.protocol = self._describe(min_length, options or {})

        host_task = self.tasks[INFRARED_TO_VISIBLE]
        super().__init__(
            train, [self.test[i] for i in host_task.query], [self.test[i] for i in host_task.gallery], **kwargs
        )

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
        logger.info("=> Loaded %s:\n%s", type(self).__name__, table)

    def _describe(self, min_length: int, options: dict[str, object]) -> dict[str, object]:
        return {
            "dataset": type(self).__name__,
            "min_length": min_length,
            **options,
            "identities": {TRAIN: self.num_train_pids, "test": len({tracklet.pid for tracklet in self.test})},
            "mixed_tracklets": len(self.mixed),
            "sets": {
                name: {modality.name.lower(): counts._asdict() for modality, counts in by_modality.items()}
                for name, by_modality in self.counts.items()
            },
        }

    def _refuse_shared_identities(self, listed: ListedTracklets) -> None:
        shared = sorted({tracklet.pid for tracklet in listed.train} & {tracklet.pid for tracklet in listed.test})
        if shared:
            raise MetadataError(
                f"{type(self).__name__}: {counted(len(shared), 'identity is', 'identities are')} in both training and "
                f"test, such as {', '.join(map(str, shared[:_NAMES_SHOWN]))}: no result on them would mean anything. "
                "Take the training and test lists from the same release of the dataset."
            )

    def _refuse_empty_sets(self, min_length: int) -> None:
        for name, by_modality in self.counts.items():
            if not any(counts.kept for counts in by_modality.values()):
                raise ValueError(
                    f"{type(self).__name__}: no tracklet of {min_length} frames or more is left in '{name}'; "
                    "lower min_length or complete the copy of the dataset."
                )


def agreement(line: tuple[int, Modality, int], frames: Set[tuple[int, Modality, int] | None]) -> bool | None:
    """Whether a tracklet's line and its frames' names agree on identity, modality and camera.

    Published copies hold a few tracklets with stray frames, which every public loader keeps; a line that shares
    nothing with its frames, though, is a list that belongs to another file.

    Args:
        line: identity, modality and camera that the line states.
        frames: what the frames' names state; None for a name that states something unknown.

    Returns:
        True: all frames agree. None: some do. False: none does.
    """
    if frames == {line}:
        return True
    return None if line in frames else False


def _tasks_of_long_tracklets(listed: ListedTracklets, min_length: int) -> dict[str, RetrievalTask]:
    long = [index for index, tracklet in enumerate(listed.test) if len(tracklet.paths) >= min_length]
    position = {before: after for after, before in enumerate(long)}
    return {
        name: RetrievalTask(*(tuple(position[i] for i in indices if i in position) for indices in task))
        for name, task in listed.tasks.items()
    }


def _count(listed: Sequence[Tracklet], kept: Sequence[Tracklet]) -> dict[Modality, SetCounts]:
    counts = {}
    for modality in Modality:
        ours = [tracklet for tracklet in kept if tracklet.modality == modality]
        counts[modality] = SetCounts(
            listed=sum(tracklet.modality == modality for tracklet in listed),
            kept=len(ours),
            identities=len({tracklet.pid for tracklet in ours}),
            frames=sum(len(tracklet.paths) for tracklet in ours),
            cameras=len({tracklet.camid for tracklet in ours}),
        )
    return counts
