"""HITSZ-VCM: 927 identities, 12 cameras, visible and infrared tracklets of at most 24 frames."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.base import ListedTracklets, VideoCrossModalityDataset
from xreid_plugin.data.datasets.files import Enclosure, MetadataError, find_root
from xreid_plugin.data.datasets.hitsz_lists import Frames, Split, read_names, read_queries, read_tracks
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, RetrievalTask
from xreid_plugin.words import counted

_FOLDER = "HITSZ-VCM"
_ORIGIN = (
    "HITSZ-VCM comes from its owners, the authors of 'Learning Modal-invariant and Temporal-memory for "
    "Video-based Visible-Infrared Person Re-Identification' (CVPR 2022); ask for it in their repository HITSZ-VCM-data."
)
_MARKER = "track_train_info.txt"

# Authors unpack both archives into one folder, named data or the dataset's own.
_MERGED_FOLDERS = ("data", ".")
_FRAMES_PROBED = 9


@DATASET_REGISTRY.register()
class HITSZVCM(VideoCrossModalityDataset):
    """HITSZ-VCM (Lin et al., CVPR 2022), as its lists say.

    I2V: the tracklets of query_IDX.txt (infrared) against all other test tracklets. V2I: the two sets swapped. Camera
    numbers are the dataset's own. Frames may lie in Train and Test, or all in one folder.
    """

    default_min_length = 12

    def __init__(
        self,
        root: str | Path = "datasets",
        *,
        min_length: int = 0,
        packed: Container[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Reads the lists; only a few of the frames are looked for.

        Args:
            root: the dataset's own folder, or the folder that holds HITSZ-VCM.
            min_length: shortest tracklet that counts, in frames; 0 stands for 12, as in published results.
            packed: names of the frames in a pack, relative to the dataset's folder; None: frames are files.
            **kwargs: the host's ``transform``, ``mode`` and ``verbose``.

        Raises:
            FileNotFoundError: the dataset, one of its lists, or its frames are not there.
            MetadataError: a list is malformed, or lists contradict each other.
            ValueError: ``min_length`` leaves a set empty.
        """
        home = find_root(root, _FOLDER, (f"info/{_MARKER}", _MARKER), _ORIGIN)
        info = home / "info" if (home / "info" / _MARKER).is_file() else home
        self.home = home
        train = _read_split(home, info, "train", packed)
        test = _read_split(home, info, "test", packed)
        query = read_queries(info / "query_IDX.txt", test.tracklets)
        asked = set(query)
        others = tuple(index for index in range(len(test.tracklets)) if index not in asked)
        listed = ListedTracklets(
            train.tracklets,
            test.tracklets,
            {
                INFRARED_TO_VISIBLE: RetrievalTask(query, others),
                VISIBLE_TO_INFRARED: RetrievalTask(others, query),
            },
            frozenset(train.mixed | test.mixed),
        )
        super().__init__(listed, min_length=min_length, **kwargs)


def _read_split(home: Path, info: Path, split: str, packed: Container[str] | None) -> Split:
    frames = read_names(info / f"{split}_name.txt")
    folder = _locate_frames(home, (split.capitalize(), *_MERGED_FOLDERS), frames.paths, packed)
    if packed is None:
        _refuse_links(frames, folder)
    return read_tracks(info / f"track_{split}_info.txt", split, frames, folder)


def _refuse_links(frames: Frames, folder: Path) -> None:
    enclosure = Enclosure(folder)
    for below, number in frames.folders.items():
        if not enclosure.holds(below):
            problem = f"{folder / below} is a link that leads out of {folder}; put the frames themselves there"
            raise MetadataError.at(frames.file, number, Path(frames.paths[number - 1]).name, problem)


def _locate_frames(
    home: Path, folders: Sequence[str], paths: Sequence[str], packed: Container[str] | None = None
) -> Path:
    """The folder below ``home`` that holds most of a few frames, spread over the list; the first at a tie."""

    def is_there(folder: str, path: str) -> bool:
        return (home / folder / path).is_file() if packed is None else Path(folder, path).as_posix() in packed

    step = max(1, len(paths) // _FRAMES_PROBED)
    probes = paths[::step]
    found = {folder: sum(is_there(folder, path) for path in probes) for folder in folders}
    best = max(folders, key=found.__getitem__)
    if not found[best]:
        places = " or ".join(str(home / folder) for folder in folders)
        remedy = "Unpack the Train and Test archives there, as distributed or both into one folder."
        if packed is not None:
            remedy = "DATASETS.PACK names a pack of other lists: pack the frames of these (tools/pack_dataset.py)."
        raise FileNotFoundError(
            f"No frame of HITSZ-VCM was found: looked for {paths[0]} and {counted(len(probes) - 1, 'other')} in "
            f"{places}. {remedy}"
        )
    return home / best
