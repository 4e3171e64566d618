"""The lists of HITSZ-VCM: names of frames, tracklets as ranges of their lines, and which tracklets are queries."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xreid_plugin.data.datasets.base import agreement
from xreid_plugin.data.datasets.files import FramePaths, MetadataError, natural_number, read_lines, shown
from xreid_plugin.data.datasets.shifts import Trail
from xreid_plugin.data.tracklet import Modality, Tracklet

logger = logging.getLogger(__name__)

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

# A frame is in one tracklet; lists that repeat frames this often could fill any memory.
_MOST_SHARING = 4
# Published copies hold a few tracklets with stray frames; where most of many have some, the lists are shifted.
_MOST_MIXED, _MANY = 0.5, 20


class Source(NamedTuple):
    """Who is seen, and by what; what a track line and a frame name must agree on."""

    pid: int
    modality: Modality
    camera: int

    def __str__(self) -> str:
        return f"identity {self.pid}, modality {_MODALITY_CODES[self.modality]}, camera {self.camera}"


class Frames(NamedTuple):
    """A name file: by line, who is seen and the path below the folder of frames; by folder, its first line."""

    file: Path
    sources: list[Source]
    paths: list[str]
    folders: dict[str, int]


class Split(NamedTuple):
    """The tracklets of one track file, in its order, and the names of those with stray frames."""

    tracklets: list[Tracklet]
    mixed: set[str]


def read_names(file: Path) -> Frames:
    """Reads train_name.txt or test_name.txt: the name of every frame, one a line.

    Raises:
        FileNotFoundError: it is not there.
        MetadataError: a name of another form; nothing else can be part of a path.
    """
    frames = Frames(file, [], [], {})
    # A few thousand different sources stand behind half a million names.
    known: dict[tuple[str, str, str], tuple[Source, str]] = {}
    for number, name in enumerate(read_lines(file), start=1):
        match = _FRAME_NAME.fullmatch(name)
        if match is None:
            raise MetadataError.at(file, number, name, _NAME_FORM)
        pid, modality, camera, _, frame = match.groups()
        if (pid, modality, camera) not in known:
            if int(modality) not in _MODALITIES:
                raise MetadataError.at(file, number, name, _NAME_FORM)
            source = Source(int(pid), _MODALITIES[int(modality)], int(camera))
            folder = f"{pid}/{_MODALITY_FOLDERS[source.modality]}/D{camera}"
            known[pid, modality, camera] = (source, f"{folder}/")
            frames.folders[folder] = number
        source, folder = known[pid, modality, camera]
        frames.sources.append(source)
        frames.paths.append(folder + frame)
    return frames


def read_tracks(file: Path, split: str, frames: Frames, folder: Path) -> Split:
    """Reads track_train_info.txt or track_test_info.txt: ranges of frames, with who is seen by what.

    Args:
        file: the track file.
        split: "train" or "test", for the names of tracklets.
        frames: the frames of the same split.
        folder: the folder that they lie in.

    Raises:
        FileNotFoundError: it is not there.
        MetadataError: a line is malformed, or contradicts the names of its frames.
    """
    result = Split([], set())
    lines, used = read_lines(file), 0
    trail = Trail(file, lines, frames.file, len(frames.paths))
    for number, text in enumerate(lines, start=1):
        source, span = _parse_track(file, number, text, frames, trail)
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
                f"{frames.sources[span.start]}; the two lists must come from the same release, or {trail.hint()}",
            )
        trail.follow(number, span, _first_stray(frames, source, span) if agrees is None else None)
        code = _MODALITY_CODES[source.modality]
        name = f"{split}{number:05d}_{source.pid:04d}M{code}D{source.camera}"
        if agrees is None:
            result.mixed.add(name)
        paths = FramePaths.below(folder, frames.paths[span])
        result.tracklets.append(Tracklet(paths, source.pid, source.camera, source.modality, name))
    if len(lines) >= _MANY and len(result.mixed) > _MOST_MIXED * len(lines):
        raise MetadataError(
            f"{file}: most tracklets hold frames that {frames.file.name} gives to others; {trail.hint()}."
        )
    if used != len(frames.paths):
        logger.warning(
            "%s names %d frames, but the tracklets of %s have %d: one of the two may have been cut off.",
            frames.file,
            len(frames.paths),
            file.name,
            used,
        )
    return result


def _first_stray(frames: Frames, source: Source, span: slice) -> int:
    return next(index for index in range(span.start, span.stop) if frames.sources[index] != source)


def _parse_track(file: Path, number: int, text: str, frames: Frames, trail: Trail) -> tuple[Source, slice]:
    fields = [natural_number(field) for field in text.split()]
    if len(fields) != 5 or None in fields:
        raise MetadataError.at(file, number, text, _TRACK_FORM)
    code, first, last, pid, camera = (field for field in fields if field is not None)
    if code not in _MODALITIES:
        raise MetadataError.at(file, number, text, f"modality {code} is unknown; {_TRACK_FORM}")
    if not 1 <= first <= last <= len(frames.paths):
        problem = (
            f"first {first} and last {last} are not a range of lines of {frames.file.name}; "
            f"expected 1 <= first <= last <= {len(frames.paths)}; {trail.hint()}"
        )
        raise MetadataError.at(file, number, text, problem)
    return Source(pid, _MODALITIES[code], camera), slice(first - 1, last)


def read_queries(file: Path, tracklets: Sequence[Tracklet]) -> tuple[int, ...]:
    """Reads query_IDX.txt: 1-based lines of the test tracklets, unfiltered, as 0-based positions.

    Raises:
        FileNotFoundError: it is not there.
        MetadataError: a number that is not an infrared tracklet's, or comes twice.
    """
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
