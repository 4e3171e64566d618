"""HITSZ-VCM: 927 identities, 12 cameras, visible and infrared tracklets of at most 24 frames."""

import logging
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.base import ListedTracklets, VideoCrossModalityDataset, agreement
from xreid_plugin.data.datasets.files import (
    Enclosure,
    FramePaths,
    MetadataError,
    find_root,
    natural_number,
    read_lines,
    shown,
)
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, Modality, RetrievalTask, Tracklet

logger = logging.getLogger(__name__)

_FOLDER = "HITSZ-VCM"
_ORIGIN = (
    "HITSZ-VCM is given out by its owners, the authors of 'Learning Modal-invariant and Temporal-memory for "
    "Video-based Visible-Infrared Person Re-Identification' (CVPR 2022); ask for it in their repository HITSZ-VCM-data."
)
_MARKER = "track_train_info.txt"

# Only digits and one suffix: no name that matches can lead out of the dataset's folder.
_FRAME_NAME = re.compile(r"(\d{1,9})M(\d{1,9})D(\d{1,2})T(\d{1,9})F(\d{1,9}\.[A-Za-z]{1,9})", re.ASCII)
_NAME_FORM = (
    "expected <identity>M<modality>D<camera>T<tracklet>F<frame>.jpg such as 0001M2D3T1F1.jpg, "
    "modality 1 (infrared) or 2 (visible), camera of one or two digits"
)
_TRACK_FORM = "expected five whole numbers: modality (1 infrared, 2 visible), first and last line, identity, camera"

_MODALITIES = {1: Modality.INFRARED, 2: Modality.VISIBLE}
_MODALITY_CODES = {modality: code for code, modality in _MODALITIES.items()}
_MODALITY_FOLDERS = {Modality.INFRARED: "ir", Modality.VISIBLE: "rgb"}

# Authors unpack both archives into one folder, named data or the dataset's own.
_MERGED_FOLDERS = ("data", ".")
_FRAMES_PROBED = 9
# A frame is in one tracklet; lists that say otherwise this often could fill any memory.
_MOST_SHARING = 4


class _Source(NamedTuple):
    """Who is seen, and by what; what a track line and a frame name must agree on."""

    pid: int
    modality: Modality
    camera: int

    def __str__(self) -> str:
        return f"identity {self.pid}, modality {_MODALITY_CODES[self.modality]}, camera {self.camera}"


class _Frames(NamedTuple):
    """A name file: by line, who is seen and the path below the folder of frames; by folder, its first line."""

    file: Path
    sources: list[_Source]
    paths: list[str]
    folders: dict[str, int]


class _Split(NamedTuple):
    """The tracklets of one track file, in its order, and the names of those with stray frames."""

    tracklets: list[Tracklet]
    mixed: set[str]


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
        """Reads the lists; of the frames, only a few are looked for.

        Args:
            root: the dataset's own folder, or the folder that holds HITSZ-VCM.
            min_length: shortest tracklet that counts, in frames; 0: 12, as in published results.
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
        query = _read_query(info / "query_IDX.txt", test.tracklets)
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


def _read_split(home: Path, info: Path, split: str, packed: Container[str] | None) -> _Split:
    frames = _read_names(info / f"{split}_name.txt")
    folder = _locate_frames(home, (split.capitalize(), *_MERGED_FOLDERS), frames.paths, packed)
    if packed is None:
        _refuse_links(frames, folder)
    return _read_tracks(info / f"track_{split}_info.txt", split, frames, folder)


def _read_names(file: Path) -> _Frames:
    frames = _Frames(file, [], [], {})
    # Few thousand different sources stand behind half a million names.
    known: dict[tuple[str, str, str], tuple[_Source, str]] = {}
    for number, name in enumerate(read_lines(file), start=1):
        match = _FRAME_NAME.fullmatch(name)
        if match is None:
            raise MetadataError.at(file, number, name, _NAME_FORM)
        pid, modality, camera, _, frame = match.groups()
        if (pid, modality, camera) not in known:
            if int(modality) not in _MODALITIES:
                raise MetadataError.at(file, number, name, _NAME_FORM)
            source = _Source(int(pid), _MODALITIES[int(modality)], int(camera))
            folder = f"{pid}/{_MODALITY_FOLDERS[source.modality]}/D{camera}"
            known[pid, modality, camera] = (source, f"{folder}/")
            frames.folders[folder] = number
        source, folder = known[pid, modality, camera]
        frames.sources.append(source)
        frames.paths.append(folder + frame)
    return frames


def _refuse_links(frames: _Frames, folder: Path) -> None:
    enclosure = Enclosure(folder)
    for below, number in frames.folders.items():
        if not enclosure.holds(below):
            problem = f"{folder / below} is a link that leads out of {folder}; put the frames themselves there"
            raise MetadataError.at(frames.file, number, Path(frames.paths[number - 1]).name, problem)


def _read_tracks(file: Path, split: str, frames: _Frames, folder: Path) -> _Split:
    result = _Split([], set())
    used = 0
    for number, text in enumerate(read_lines(file), start=1):
        source, span = _parse_track(file, number, text, frames)
        used += span.stop - span.start
        if used > _MOST_SHARING * len(frames.paths):
            problem = f"the tracklets up to here share the frames of {frames.file.name} among each other over and over"
            raise MetadataError.at(file, number, text, f"{problem}; expected each frame in one tracklet")
        agrees = agreement(source, set(frames.sources[span]))
        if agrees is False:
            raise MetadataError.at(
                file,
                number,
                text,
                f"the line says {source}, but line {span.start + 1} of {frames.file.name} says "
                f"{frames.sources[span.start]}; the two lists must come from the same release",
            )
        code = _MODALITY_CODES[source.modality]
        name = f"{split}{number:05d}_{source.pid:04d}M{code}D{source.camera}"
        if agrees is None:
            result.mixed.add(name)
        paths = FramePaths.below(folder, frames.paths[span])
        result.tracklets.append(Tracklet(paths, source.pid, source.camera, source.modality, name))
    if used != len(frames.paths):
        logger.warning(
            "%s names %d frames, but the tracklets of %s have %d: one of the two may have been cut off.",
            frames.file,
            len(frames.paths),
            file.name,
            used,
        )
    return result


def _parse_track(file: Path, number: int, text: str, frames: _Frames) -> tuple[_Source, slice]:
    fields = [natural_number(field) for field in text.split()]
    if len(fields) != 5 or None in fields:
        raise MetadataError.at(file, number, text, _TRACK_FORM)
    code, first, last, pid, camera = (field for field in fields if field is not None)
    if code not in _MODALITIES:
        raise MetadataError.at(file, number, text, f"modality {code} is unknown; {_TRACK_FORM}")
    if not 1 <= first <= last <= len(frames.paths):
        problem = (
            f"first {first} and last {last} are no range of lines of {frames.file.name}; "
            f"expected 1 <= first <= last <= {len(frames.paths)}"
        )
        raise MetadataError.at(file, number, text, problem)
    return _Source(pid, _MODALITIES[code], camera), slice(first - 1, last)


def _read_query(file: Path, tracklets: Sequence[Tracklet]) -> tuple[int, ...]:
    """Reads the 1-based numbers of the queries into 0-based ones; they count lines of the track file, unfiltered."""
    seen: dict[int, int] = {}
    for line, text in enumerate(read_lines(file), start=1):
        for field in text.split():
            number = natural_number(field)
            if number is None or not 1 <= number <= len(tracklets):
                problem = (
                    f"'{shown(field)}' is no tracklet; "
                    f"expected line numbers of track_test_info.txt, 1 to {len(tracklets)}"
                )
                raise MetadataError.at(file, line, text, problem)
            if number in seen:
                problem = f"tracklet {number} is a query already on line {seen[number]}; expected each number once"
                raise MetadataError.at(file, line, text, problem)
            if tracklets[number - 1].modality is not Modality.INFRARED:
                problem = f"tracklet {number} is visible; expected the numbers of infrared tracklets, counted from 1"
                raise MetadataError.at(file, line, text, problem)
            seen[number] = line
    return tuple(number - 1 for number in seen)


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
        remedy = "Unpack the Train and Test archives there, as given out or both into one folder."
        if packed is not None:
            remedy = "DATASETS.PACK names a pack of other lists: pack the frames of these (tools/pack_dataset.py)."
        raise FileNotFoundError(
            f"No frame of HITSZ-VCM was found: looked for {paths[0]} and {len(probes) - 1} others in {places}. {remedy}"
        )
    return home / best
