"""Checks a copy of a dataset before a day of training: its counts, its frames, and whether its queries have answers."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from xreid_plugin.data.datasets.base import TRAIN, VideoCrossModalityDataset
from xreid_plugin.data.frame_files import decode_whole
from xreid_plugin.data.image_header import PictureError
from xreid_plugin.data.picture_file import read_picture_file
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, Modality, RetrievalTask, Tracklet

_EXAMPLES = 5
_LISTED = "tracklets listed"

# What the datasets' authors and public loaders count in a full copy, under each dataset's default length filter.
_FULL_COPY = {
    "HITSZVCM": {
        "train identities": 500,
        f"train {_LISTED}": 11_061,
        "train infrared tracklets": 4_291,
        "train infrared frames": 98_214,
        "train visible tracklets": 5_460,
        "train visible frames": 126_543,
        "test identities": 427,
        f"I2V query {_LISTED}": 5_159,
        "I2V query infrared tracklets": 4_584,
        "I2V query infrared frames": 105_979,
        f"I2V gallery {_LISTED}": 5_643,
        "I2V gallery visible tracklets": 5_099,
        "I2V gallery visible frames": 118_137,
    },
    "BUPTCampus": {
        "train identities": 1_074,
        f"train {_LISTED}": 7_148,
        "train infrared tracklets": 3_574,
        "train infrared frames": 398_069,
        "train visible tracklets": 3_574,
        "train visible frames": 398_069,
        "test identities": 1_076,
        f"I2V query {_LISTED}": 536,
        "I2V query infrared tracklets": 536,
        "I2V query infrared frames": 53_417,
        f"I2V gallery {_LISTED}": 2_422,
        "I2V gallery visible tracklets": 2_422,
        "I2V gallery visible frames": 298_771,
        f"V2I query {_LISTED}": 540,
        "V2I query visible tracklets": 540,
        "V2I query visible frames": 48_521,
        f"V2I gallery {_LISTED}": 2_422,
        "V2I gallery infrared tracklets": 2_422,
        "V2I gallery infrared frames": 298_771,
    },
}
_AUXILIARY_SET = {
    "train identities": 930,
    f"train {_LISTED}": 1_860,
    "train infrared tracklets": 930,
    "train infrared frames": 104_575,
    "train visible tracklets": 930,
    "train visible frames": 104_575,
}


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before training.

    Attributes:
        what: a phrase that follows a number.
        count: that number, at least 1.
        examples: at most a handful.
        failure: whether the copy is at fault; False for a fact of the protocol.
    """

    what: str
    count: int
    examples: Sequence[str]
    failure: bool = True

    def __str__(self) -> str:
        mark = "FAILURE" if self.failure else "note"
        return "\n".join([f"{mark}: {self.count} {self.what}", *(f"    {example}" for example in self.examples)])


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        counts: rows of what was counted: its name, the number found, the number in a full copy or None.
        findings: failures first.
    """

    counts: Sequence[tuple[str, int, int | None]]
    findings: Sequence[Finding]

    @property
    def failed(self) -> bool:
        """Whether the copy is at fault anywhere."""
        return any(finding.failure for finding in self.findings)

    def __str__(self) -> str:
        rows = [
            (name, found, "" if full is None else full, "" if full in (None, found) else "differs")
            for name, found, full in self.counts
        ]
        table = tabulate(rows, headers=["counted", "found", "full copy", ""], tablefmt="simple", intfmt=",")
        verdict = "The copy has failures." if self.failed else "The copy is clean."
        return "\n\n".join([table, *map(str, self.findings), verdict])


def check_dataset(
    dataset: VideoCrossModalityDataset, *, deep: bool = False, workers: int = 0, compare_counts: bool = True
) -> Report:
    """Checks every kept tracklet of a dataset.

    Args:
        dataset: what the lists say; reading them has already refused malformed lines and shared identities.
        deep: also decode every frame, which takes minutes.
        workers: threads that decode; 0: one for each core.
        compare_counts: whether a count that differs from a full copy is a failure (else a note).

    Returns:
        The counts and all findings.

    Raises:
        OSError: a folder of frames cannot be read.
    """
    counts = _compare_with_full_copy(dataset)
    differing = [f"{name}: {found}, not {full}" for name, found, full in counts if full not in (None, found)]
    tracklets = [*dataset.train, *dataset.test]
    missing = missing_frames(tracklets)
    unseen = [
        f"{tracklet.name}: camera {tracklet.camid}"
        for tracklet in dataset.test
        if tracklet.camid not in dataset.cameras
    ]
    broken = unreadable_frames(tracklets, set(missing), workers) if deep else []
    findings = [
        _finding("counts differ from a full copy (see --no-counts)", differing, failure=compare_counts),
        _finding("frames are missing", missing),
        _finding("frames are links that lead out of the copy", frames_led_astray(tracklets, dataset.home)),
        _finding("frames cannot be decoded", broken),
        _finding("training identities are seen in one modality only", one_sided_identities(dataset)),
        _finding("test tracklets come from cameras that training never shows", unseen, failure=False),
        _finding("tracklets hold frames of another identity, camera or modality", dataset.mixed, failure=False),
    ]
    for name, task in dataset.tasks.items():
        findings += _task_findings(name, task, dataset.test)
    found = [finding for finding in findings if finding.count]
    return Report(counts, sorted(found, key=lambda finding: not finding.failure))


def missing_frames(tracklets: Sequence[Tracklet]) -> list[str]:
    """The frames that are not on disk, in order; each folder is listed once, far cheaper than asking for each file."""
    names_in = lru_cache(maxsize=256)(_names_in)
    missing = []
    for path in chain.from_iterable(tracklet.paths for tracklet in tracklets):
        folder, name = os.path.split(path)
        if name not in names_in(folder):
            missing.append(path)
    return missing


def frames_led_astray(tracklets: Sequence[Tracklet], home: Path) -> list[str]:
    """The frames that are links to files outside the dataset's folder, in order.

    Args:
        tracklets: whose frames.
        home: the dataset's folder. What Train, Test or DATA are links to counts as inside, as the owner's own choice.
    """
    inside = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in (home, *home.glob("*/")))
    links_in = lru_cache(maxsize=256)(_links_in)
    astray = []
    for path in chain.from_iterable(tracklet.paths for tracklet in tracklets):
        folder, name = os.path.split(path)
        if name in links_in(folder) and not os.path.realpath(path).startswith(inside):
            astray.append(path)
    return astray


def unreadable_frames(tracklets: Sequence[Tracklet], skip: set[str], workers: int = 0) -> list[str]:
    """Decodes every frame as training does: what it finds is what training would stumble over.

    Args:
        tracklets: whose frames.
        skip: paths to leave out.
        workers: threads; decoding and reading let others run. 0: one for each core.

    Returns:
        A line for each frame that cannot be decoded, in order: path and reason.
    """

    def decode(tracklet: Tracklet) -> list[str]:
        reasons = ((path, _reason_unreadable(path)) for path in tracklet.paths if path not in skip)
        return [f"{path}: {reason}" for path, reason in reasons if reason]

    broken: list[str] = []
    total = sum(len(tracklet.paths) for tracklet in tracklets)
    with (
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        tqdm(total=total, unit="frame", desc="decoding", disable=None) as bar,
    ):
        for tracklet, lines in zip(tracklets, pool.map(decode, tracklets), strict=True):
            broken += lines
            bar.update(len(tracklet.paths))
    return broken


def one_sided_identities(dataset: VideoCrossModalityDataset) -> list[str]:
    """Training identities that one modality lacks, by the dataset's own number; nothing can be matched for them."""
    seen: dict[int, set[Modality]] = {}
    for tracklet in dataset.train:
        seen.setdefault(tracklet.pid, set()).add(tracklet.modality)
    return [
        f"identity {dataset.train_identities[pid]}: {next(iter(modalities)).name.lower()} only"
        for pid, modalities in sorted(seen.items())
        if len(modalities) == 1
    ]


def _task_findings(name: str, task: RetrievalTask, test: Sequence[Tracklet]) -> list[Finding]:
    queries, gallery = ([test[index] for index in indices] for indices in task)
    infrared_asks = name == INFRARED_TO_VISIBLE
    asking = Modality.INFRARED if infrared_asks else Modality.VISIBLE
    misplaced = [t.name for t in queries if t.modality != asking] + [t.name for t in gallery if t.modality == asking]

    matches = Counter(tracklet.pid for tracklet in gallery)
    beside = Counter((tracklet.pid, tracklet.camid) for tracklet in gallery)
    unmatched = [query.name for query in queries if not matches[query.pid]]
    dropped = [q.name for q in queries if 0 < matches[q.pid] == beside[q.pid, q.camid]]
    affected = [q.name for q in queries if beside[q.pid, q.camid]]
    pairs = sum(beside[query.pid, query.camid] for query in queries)
    return [
        _finding(f"{name} tracklets stand on the side of the other modality", misplaced),
        _finding(f"{name} queries have no match in the gallery", unmatched),
        _finding(
            f"{name} queries have matches in their own camera only; the 'exclude' protocol leaves them out",
            dropped,
            failure=False,
        ),
        Finding(
            f"{name} pairs show one identity in one camera, over {len(affected)} queries; 'exclude' ignores them",
            pairs,
            affected[:_EXAMPLES],
            failure=False,
        ),
    ]


def _finding(what: str, cases: Sequence[str], failure: bool = True) -> Finding:
    return Finding(what, len(cases), cases[:_EXAMPLES], failure)


def _compare_with_full_copy(dataset: VideoCrossModalityDataset) -> list[tuple[str, int, int | None]]:
    full = dict(_FULL_COPY.get(type(dataset).__name__, {}))
    if dataset.protocol.get("auxiliary"):
        full |= {name: full[name] + more for name, more in _AUXILIARY_SET.items()}
    if dataset.protocol["min_length"] != dataset.default_min_length:
        full = {name: number for name, number in full.items() if name.endswith(_LISTED)}
    return [(name, found, full.get(name)) for name, found in _measure(dataset).items()]


def _measure(dataset: VideoCrossModalityDataset) -> dict[str, int]:
    measured: dict[str, int] = {}
    for name, by_modality in dataset.counts.items():
        if name == TRAIN:
            measured["train identities"] = dataset.num_train_pids
            measured["test identities"] = len({tracklet.pid for tracklet in dataset.test})
        measured[f"{name} {_LISTED}"] = sum(counts.listed for counts in by_modality.values())
        for modality, counts in by_modality.items():
            if counts.listed:
                measured[f"{name} {modality.name.lower()} tracklets"] = counts.kept
                measured[f"{name} {modality.name.lower()} frames"] = counts.frames
    return measured


def _links_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    # A link that leads to itself.
    except OSError:
        return False


def _names_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _is_file(entry))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _reason_unreadable(path: str) -> str | None:
    try:
        decode_whole(read_picture_file(path))
    except PictureError as error:
        return str(error)
    return None
