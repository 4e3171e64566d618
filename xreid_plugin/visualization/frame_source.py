"""Frames of the test tracklets that features belong to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.evaluation.features import TrackletFeatures


class FrameSource:
    """The dataset's own frames, by the rows of a file of features.

    Attributes:
        tracklets: the tracklets of the test set, in the order of the features.
    """

    def __init__(self, cfg: Any, data: TrackletFeatures) -> None:
        """
        Args:
            cfg: the configuration; DATASETS and INPUT.SIZE_TEST are read.
            data: features of that test set.

        Raises:
            FileNotFoundError: the dataset is not there.
            ValueError: the features belong to other tracklets.
        """
        name = _dataset_of(cfg, data)
        self.tracklets: list[Tracklet] = build_dataset(cfg, name).test
        self._reader = build_frame_reader(cfg, "SIZE_TEST")
        self._size: tuple[int, int] = tuple(cfg.INPUT.SIZE_TEST)
        _refuse_others(name, self.tracklets, data)

    def read(self, index: int, count: int = 1) -> NDArray[np.uint8]:
        """The middle frames of ``count`` equal parts of a tracklet.

        Args:
            index: row of the features.
            count: number of frames, at least 1.

        Returns:
            (count, H, W, 3) uint8, RGB, of INPUT.SIZE_TEST.

        Raises:
            FrameError: a frame is missing or cannot be decoded.
        """
        tracklet = self.tracklets[index]
        return self._reader.read(tracklet, middles(len(tracklet.paths), count), self._size)


def middles(length: int, count: int) -> NDArray[np.int64]:
    """(count,) int64 in 0..length-1: the middle of each of ``count`` equal parts of ``length`` things."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _dataset_of(cfg: Any, data: TrackletFeatures) -> str:
    said = data.protocol.get("dataset")
    if said in cfg.DATASETS.TESTS:
        return str(said)
    if said is None and len(cfg.DATASETS.TESTS) == 1:
        return str(cfg.DATASETS.TESTS[0])
    raise ValueError(
        f"The features are of {said or 'a dataset that they do not name'}, and DATASETS.TESTS is "
        f"{tuple(cfg.DATASETS.TESTS)}: give the configuration that the features were made with."
    )


def _refuse_others(name: str, tracklets: list[Tracklet], data: TrackletFeatures) -> None:
    facts = [(t.pid, t.camid, int(t.modality)) for t in tracklets]
    same = facts == list(zip(data.pids.tolist(), data.camids.tolist(), data.modalities.tolist(), strict=True))
    if not same or (data.names is not None and list(data.names) != [tracklet.name for tracklet in tracklets]):
        raise ValueError(
            f"The features are of {len(data.pids)} tracklets, and not of the {len(tracklets)} of {name}'s test set in "
            "DATASETS.ROOT: give the dataset, and DATASETS.MIN_TRACKLET_LENGTH, that they were made with."
        )
