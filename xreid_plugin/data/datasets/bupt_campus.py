"""BUPTCampus: 3,080 identities, six cameras that take visible and infrared pictures at the same time."""

import json
import os
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

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

_FOLDER = "BUPTCampus"
_ORIGIN = (
    "BUPTCampus comes from its owners, the authors of 'Video-based Visible-Infrared Person Re-Identification with "
    "Auxiliary Samples' (TIFS 2023); ask for it in their repository BUPTCampus."
)
_FRAMES_FOLDER = "DATA"
_PATHS_FILE = "data_paths.json"

_CAMERAS = {"LS3": 0, "G25": 1, "CQ1": 2, "W4": 3, "TSG1": 4, "TSG2": 5}
_MODALITIES = {"RGB": Modality.VISIBLE, "IR": Modality.INFRARED}
_PAIR = {"RGB/IR": ("IR", "RGB")}
_SINGLE = {"IR": ("IR",), "RGB": ("RGB",)}

# Parts of a path that could lead out of the dataset's folder, or nowhere.
_NO_NAMES = frozenset({"", ".", ".."})
_LONGEST_NAME = 255

_Source: TypeAlias = tuple[int, Modality, int]


class _Line(NamedTuple):
    """One line of a list, kept for messages."""

    file: Path
    number: int
    text: str

    def error(self, expected: str) -> MetadataError:
        return MetadataError.at(self.file, self.number, self.text, expected)


class _Key(NamedTuple):
    """The keys that lead to one tracklet's frames in data_paths.json, as written there."""

    pid: str
    modality: str
    camera: str
    tracklet: str

    @property
    def source(self) -> _Source:
        return int(self.pid), _MODALITIES[self.modality], _CAMERAS[self.camera]


@DATASET_REGISTRY.register()
class BUPTCampus(VideoCrossModalityDataset):
    """BUPTCampus (Du et al., TIFS 2023), as its lists say.

    I2V: the infrared tracklets of query.txt against the visible ones of gallery.txt. V2I: the visible ones against the
    infrared ones, which is not I2V with its sets swapped. Cameras: LS3 0, G25 1, CQ1 2, W4 3, TSG1 4, TSG2 5. Generated
    infrared pictures (FakeIR) are ignored.
    """

    default_min_length = 1

    def __init__(
        self,
        root: str | Path = "datasets",
        *,
        min_length: int = 0,
        auxiliary: bool = False,
        packed: Container[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Reads the lists; no frame is looked for.

        Args:
            root: the dataset's own folder, or the folder that holds BUPTCampus.
            min_length: shortest tracklet that counts, in frames; 0 stands for 1, as the dataset's authors have it. The
                public X-ReID code has 2.
            auxiliary: also train on the identities of train_auxiliary.txt, each seen by one camera only.
            packed: names of the frames in a pack, relative to the dataset's folder; None: frames are files.
            **kwargs: the host's ``transform``, ``mode`` and ``verbose``.

        Raises:
            FileNotFoundError: the dataset, one of its lists, or its folder of frames is not there.
            MetadataError: a list is malformed, or lists contradict each other.
            ValueError: ``min_length`` leaves a set empty.
        """
        home = find_root(root, _FOLDER, (_PATHS_FILE,), _ORIGIN)
        self.home = home
        if packed is None and not (home / _FRAMES_FOLDER).is_dir():
            raise FileNotFoundError(f"{home / _FRAMES_FOLDER} is missing: unpack the frames of BUPTCampus there.")
        reader = _Reader(home, Enclosure(home / _FRAMES_FOLDER) if packed is None else None)
        train = reader.read("train.txt", _PAIR)
        if auxiliary:
            train |= reader.read("train_auxiliary.txt", _PAIR, already=train)
        query = reader.read("query.txt", _SINGLE)
        gallery = reader.read("gallery.txt", _SINGLE)
        test = query | gallery
        position = {key: index for index, key in enumerate(test)}

        def pick(keys: dict[_Key, Tracklet], modality: Modality) -> tuple[int, ...]:
            return tuple(position[key] for key, tracklet in keys.items() if tracklet.modality is modality)

        tasks = {
            INFRARED_TO_VISIBLE: RetrievalTask(pick(query, Modality.INFRARED), pick(gallery, Modality.VISIBLE)),
            VISIBLE_TO_INFRARED: RetrievalTask(pick(query, Modality.VISIBLE), pick(gallery, Modality.INFRARED)),
        }
        listed = ListedTracklets(list(train.values()), list(test.values()), tasks, frozenset(reader.mixed))
        super().__init__(listed, min_length=min_length, options={"auxiliary": auxiliary}, **kwargs)


class _Reader:
    """Turns the lines of lists into tracklets, with the help of data_paths.json."""

    def __init__(self, home: Path, enclosure: Enclosure | None) -> None:
        self.mixed: set[str] = set()
        self._enclosure = enclosure
        self._home = home
        self._paths = _read_paths(home / _PATHS_FILE)

    def read(
        self, name: str, modalities: Mapping[str, tuple[str, ...]], already: dict[_Key, Tracklet] | None = None
    ) -> dict[_Key, Tracklet]:
        """Reads one list.

        Args:
            name: the list's file name.
            modalities: the words it may use, and the modalities of data_paths.json that each stands for.
            already: tracklets that earlier lists have named, and that must not come again.

        Returns:
            Tracklets in the order of the list, by their place in data_paths.json.
        """
        file = self._home / name
        tracklets: dict[_Key, Tracklet] = {}
        for number, text in enumerate(read_lines(file), start=1):
            line = _Line(file, number, text)
            for key in _parse_line(line, modalities):
                if key in tracklets or key in (already or {}):
                    raise line.error(f"the {key.modality} tracklet is listed already; expected each tracklet once")
                tracklets[key] = self._tracklet(line, key)
        return tracklets

    def _tracklet(self, line: _Line, key: _Key) -> Tracklet:
        frames = self._frames(line, key)
        agrees = agreement(key.source, _sources_of(line, frames, self._enclosure))
        name = "_".join(key)
        if agrees is False:
            problem = f"{_PATHS_FILE} gives frames of another identity, modality or camera, such as {shown(frames[0])}"
            raise line.error(f"{problem}; the two must come from the same release")
        if agrees is None:
            self.mixed.add(name)
        pid, modality, camera = key.source
        return Tracklet(FramePaths.below(self._home / _FRAMES_FOLDER, frames), pid, camera, modality, name)

    def _frames(self, line: _Line, key: _Key) -> Sequence[str]:
        node = self._paths
        for step in key:
            node = node.get(step) if isinstance(node, dict) else None
        if not isinstance(node, list) or not node or not all(isinstance(path, str) for path in node):
            raise line.error(f"expected a list of frames in {_PATHS_FILE} under {shown(' > '.join(key))}")
        return node


def _read_paths(file: Path) -> Any:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            content = json.load(stream, object_pairs_hook=_without_repetition)
    # Undecodable text and endless numbers are ValueErrors too.
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{file}: expected JSON ({error}); copy the file again.") from error
    if not isinstance(content, dict) or not content:
        raise MetadataError(f"{file}: expected a JSON object: identity -> modality -> camera -> tracklet -> [paths].")
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key '{shown(name)}' appears twice in one object")
    return found


def _parse_line(line: _Line, modalities: Mapping[str, tuple[str, ...]]) -> list[_Key]:
    form = f"expected 'identity modality camera tracklet', modality {' or '.join(modalities)}"
    fields = line.text.split()
    if len(fields) != 4 or natural_number(fields[0]) is None:
        raise line.error(form)
    pid, modality, camera, tracklet = fields
    if modality not in modalities:
        raise line.error(f"modality '{shown(modality)}' has no place here; {form}")
    if camera not in _CAMERAS:
        raise line.error(f"camera '{shown(camera)}' is unknown; expected one of {', '.join(_CAMERAS)}")
    return [_Key(pid, name, camera, tracklet) for name in modalities[modality]]


def _sources_of(line: _Line, frames: Sequence[str], enclosure: Enclosure | None) -> set[_Source | None]:
    """What frames' paths <pid>/<modality>/<camera>/<file> say; None for those that name something unknown."""
    folders = set()
    for path in frames:
        folder, _, name = path.rpartition("/")
        if folder.count("/") != 2 or not _NO_NAMES.isdisjoint([*folder.split("/"), name]) or not _is_path(path):
            expected = f"expected a path inside {_FRAMES_FOLDER}, <identity>/<modality>/<camera>/<file>"
            raise line.error(f"{_PATHS_FILE} gives the frame '{shown(path)}'; {expected}")
        folders.add(folder)
    for folder in folders:
        if enclosure is not None and not enclosure.holds(folder):
            problem = f"{_PATHS_FILE} has its frames in {shown(folder)}, a link that leads out of {_FRAMES_FOLDER}"
            raise line.error(f"{problem}; put the frames themselves there")
    return {_source_of(folder) for folder in folders}


def _is_path(text: str) -> bool:
    """Whether a file could have this name: JSON can hold lone surrogates, which no file system takes."""
    try:
        return "\0" not in text and all(len(os.fsencode(name)) <= _LONGEST_NAME for name in text.split("/"))
    except UnicodeEncodeError:
        return False


def _source_of(folder: str) -> _Source | None:
    pid, modality, camera = folder.split("/")
    identity = natural_number(pid)
    if identity is None or modality not in _MODALITIES or camera not in _CAMERAS:
        return None
    return identity, _MODALITIES[modality], _CAMERAS[camera]
