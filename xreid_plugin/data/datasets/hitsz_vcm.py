"""HITSZ-VCM: 927 identities, 12 cameras, visible and infrared tracklets of at most 24 frames.

Its lists: names of frames, tracklets as ranges of their lines, and which tracklets are queries.
"""

import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.base import (
    ListedTracklets,
    VideoCrossModalityDataset,
    find_root,
    line_error,
    read_lines,
    resolve_below,
)
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE as I2V
from xreid_plugin.data.tracklet import VISIBLE_TO_INFRARED as V2I
from xreid_plugin.data.tracklet import FramePaths, Modality, RetrievalTask, Tracklet

_FOLDER = "HITSZ-VCM"
_ORIGIN = (
    "HITSZ-VCM comes from its owners, the authors of 'Learning Modal-invariant and Temporal-memory for "
    "Video-based Visible-Infrared Person Re-Identification' (CVPR 2022); ask for it at https://github.com/VCM-project233/HITSZ-VCM-data."
)
_MARKER = "track_train_info.txt"

# Only digits and one suffix: no name that matches can lead out of the dataset's folder.
_FRAME_NAME = re.compile(r"(\d+)M([12])D(\d{1,2})T\d+F(\d+\.[A-Za-z]+)", re.ASCII)
_NAME_FORM = (
    "expected <identity>M<modality>D<camera>T<tracklet>F<frame>.jpg such as 0001M2D3T1F1.jpg, "
    "modality 1 (infrared) or 2 (visible), camera of one or two digits"
)
_TRACK = re.compile(r"([12])\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", re.ASCII)
_TRACK_FORM = "expected five whole numbers: modality (1 infrared, 2 visible), first and last line, identity, camera"

_MODALITIES = {"1": Modality.INFRARED, "2": Modality.VISIBLE}
_MODALITY_FOLDERS = {"1": "ir", "2": "rgb"}

_FRAMES_PROBED = 9
# Published copies hold a few tracklets with stray frames; where most of many have some, the lists are shifted.
_MOST_MIXED, _MANY = 0.5, 20


@DATASET_REGISTRY.register()
class HITSZVCM(VideoCrossModalityDataset):
    """HITSZ-VCM (Lin et al., CVPR 2022), as its lists say.

    I2V: the tracklets of query_IDX.txt (infrared) against all other test tracklets. V2I: the two sets swapped. Camera
    numbers are the dataset's own. Frames may lie in Train and Test, or all in one folder.
    """

    default_min_length = 12
    # Counted by the dataset's authors and in public loaders.
    full_copy = {  # noqa: RUF012
        "identities": (500, 427),
        "train infrared": (4_291, 98_214),
        "train visible": (5_460, 126_543),
        "I2V query infrared": (4_584, 105_979),
        "I2V gallery visible": (5_099, 118_137),
    }

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
            **kwargs: the host's.

        Raises:
            FileNotFoundError: the dataset, one of its lists, or its frames are not there.
            ValueError: a list is malformed, lists contradict each other, or ``min_length`` leaves a set empty.
        """
        self.home = find_root(root, _FOLDER, (f"info/{_MARKER}", _MARKER), _ORIGIN)
        info = self.home / "info" if (self.home / "info" / _MARKER).is_file() else self.home
        train, test = (_read_split(self.home, info, split, packed) for split in ("train", "test"))
        query = _read_queries(info / "query_IDX.txt", test)
        asked = set(query)
        others = tuple(index for index in range(len(test)) if index not in asked)
        listed = ListedTracklets(train, test, {I2V: RetrievalTask(query, others), V2I: RetrievalTask(others, query)})
        super().__init__(listed, min_length=min_length, **kwargs)


def _read_split(home: Path, info: Path, split: str, packed: Container[str] | None) -> list[Tracklet]:
    """The tracklets of "train" or "test", in the order of their list."""
    names = info / f"{split}_name.txt"
    sources, paths = _read_names(names)
    folder = _locate_frames(home, split, paths, packed)
    for below in dict.fromkeys(path.rpartition("/")[0] for path in paths):
        resolve_below(folder, below)
    file = info / f"track_{split}_info.txt"
    tracklets: list[Tracklet] = []
    mixed = 0
    for number, text in enumerate(read_lines(file), start=1):
        match = _TRACK.fullmatch(text)
        if match is None:
            raise line_error(file, number, text, _TRACK_FORM)
        first, last, pid, camera = map(int, match.groups()[1:])
        if not 1 <= first <= last <= len(paths):
            raise line_error(file, number, text, f"expected lines of {names.name}, 1 <= first <= last <= {len(paths)}")
        mixed += len(set(sources[first - 1 : last])) > 1
        if f"{pid}M{match[1]}D{camera}" not in sources[first - 1 : last]:
            problem = f"line {first} of {names.name} says another identity, modality or camera"
            raise line_error(file, number, text, f"{problem}; the two lists must come from the same release")
        name = f"{split}{number:05d}_{pid:04d}M{match[1]}D{camera}"
        frames = FramePaths(f"{folder}/{path}" for path in paths[first - 1 : last])
        tracklets.append(Tracklet(frames, pid, camera, _MODALITIES[match[1]], name))
    if len(tracklets) >= _MANY and mixed > _MOST_MIXED * len(tracklets):
        raise ValueError(
            f"{file}: most tracklets hold frames that {names.name} gives to others; a line of one of the two is "
            "missing or doubled. Copy both files again."
        )
    return tracklets


def _read_names(file: Path) -> tuple[list[str], list[str]]:
    """By line of a name file, who is seen and by what, as in 7M2D3, and the path below the folder of frames."""
    sources: list[str] = []
    paths: list[str] = []
    for number, name in enumerate(read_lines(file), start=1):
        match = _FRAME_NAME.fullmatch(name)
        if match is None:
            raise line_error(file, number, name, _NAME_FORM)
        pid, modality, camera, frame = match.groups()
        sources.append(f"{int(pid)}M{modality}D{int(camera)}")
        paths.append(f"{pid}/{_MODALITY_FOLDERS[modality]}/D{camera}/{frame}")
    return sources, paths


def _locate_frames(home: Path, split: str, paths: Sequence[str], packed: Container[str] | None) -> Path:
    """The first of the folders that may hold a split's frames in which any of a few, spread over the list, is."""

    def is_there(folder: str, path: str) -> bool:
        return (home / folder / path).is_file() if packed is None else Path(folder, path).as_posix() in packed

    # Authors unpack both archives into one folder, named data or the dataset's own.
    folders = (split.capitalize(), "data", ".")
    for folder in folders:
        if any(is_there(folder, path) for path in paths[:: max(1, len(paths) // _FRAMES_PROBED)]):
            return home / folder
    raise FileNotFoundError(
        f"No frame of HITSZ-VCM was found, such as {paths[0]}, in {' or '.join(str(home / name) for name in folders)}. "
        "Unpack the Train and Test archives there, or name a pack of these lists in DATASETS.PACK."
    )


def _read_queries(file: Path, tracklets: Sequence[Tracklet]) -> tuple[int, ...]:
    """The 1-based lines of test tracklets in query_IDX.txt, unfiltered, as 0-based positions."""
    seen: dict[int, None] = {}
    for line, text in enumerate(read_lines(file), start=1):
        for field in text.split():
            position = int(field) - 1 if field.isdecimal() else -1
            if not 0 <= position < len(tracklets):
                raise line_error(file, line, text, f"expected line numbers of track_test_info.txt, not '{field}'")
            if position in seen or tracklets[position].modality is not Modality.INFRARED:
                raise line_error(file, line, text, f"expected infrared tracklets, each once; {field} is not")
            seen[position] = None
    return tuple(seen)
