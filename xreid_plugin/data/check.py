"""Checks a copy of a dataset before a day of training: its counts, its frames, and whether its queries have matches."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate
from tqdm import tqdm

from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.frame_reader import decode, read_content
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, Modality, Tracklet

_EXAMPLES = 5

# What was counted, the number found, and that of a full copy, or None where the two are not compared.
Count = tuple[str, int, int | None]


class Finding(NamedTuple):
    """Something that a user should know before training: what, where, and whether it is a fault of the copy."""

    what: str
    cases: Sequence[str]
    failure: bool = True

    def __str__(self) -> str:
        mark, examples = "FAILURE" if self.failure else "note", self.cases[:_EXAMPLES]
        return "\n    ".join([f"{mark}: {self.what}: {len(self.cases):,}", *examples])


class Report(NamedTuple):
    """The outcome of a check: what was counted, and what was found, failures first."""

    counts: Sequence[Count]
    findings: Sequence[Finding]

    @property
    def failed(self) -> bool:
        """Whether the copy is at fault anywhere."""
        return any(finding.failure for finding in self.findings)

    def __str__(self) -> str:
        table = tabulate(self.counts, headers=["counted", "found", "full copy"], tablefmt="simple", intfmt=",")
        compared = any(full is not None for _, _, full in self.counts)
        clean = "The copy is clean." if compared else "No failures; counts were not compared with a full copy's."
        return "\n\n".join([table, *map(str, self.findings), "The copy has failures." if self.failed else clean])


def check_dataset(
    dataset: VideoCrossModalityDataset, *, deep: bool = False, workers: int = 0, compare_counts: bool = True
) -> Report:
    """Checks every kept tracklet of a dataset.

    Args:
        dataset: the dataset as its lists have it; reading has already refused malformed lines and shared identities.
        deep: also decode every frame, which takes minutes.
        workers: threads that decode; 0: one for each core.
        compare_counts: whether a count that differs from a full copy is a failure; else counts are not compared. Under
            another length filter than the dataset's own they never are.

    Raises:
        PermissionError: a folder may not be read.
    """
    counts = count_copy(dataset, compare_counts)
    tracklets = [*dataset.train, *dataset.test]
    missing = _missing_frames(tracklets)
    unseen = [f"{t.name}: camera {t.camid}" for t in dataset.test if t.camid not in dataset.cameras]
    findings = [
        Finding("counts that differ from a full copy (see --no-counts)", _differing(counts)),
        Finding("frames missing", missing),
        Finding("frames that cannot be decoded", _unreadable_frames(tracklets, set(missing), workers) if deep else []),
        Finding("training identities in one modality only", _one_sided_identities(dataset)),
        Finding("test tracklets from cameras that training never shows", unseen, failure=False),
    ]
    for task in dataset.tasks:
        findings += [_misplaced(dataset, task), *_unmatched(dataset, task)]
    return Report(counts, sorted((f for f in findings if f.cases), key=lambda f: not f.failure))


def doubts(dataset: VideoCrossModalityDataset) -> list[str]:
    """Why metrics on a copy may not be compared with published ones, a line each; none where people are drawn.

    Its counts differ from a full copy's, or a direction has tracklets on the side of the other modality.
    """
    if dataset.protocol["drawn"]:
        return []
    misplaced = [finding for finding in (_misplaced(dataset, task) for task in dataset.tasks) if finding.cases]
    lines = [f"{what}: {len(cases):,}, such as {cases[0]}" for what, cases, _ in misplaced]
    return _differing(count_copy(dataset)) + lines


def count_copy(dataset: VideoCrossModalityDataset, compare: bool = True) -> list[Count]:
    """Counts a copy's identities, and the kept tracklets and frames of every set, beside those of a full copy.

    There is nothing to compare with under another length filter than the dataset's own.
    """
    compare &= bool(dataset.protocol["min_length"] == dataset.default_min_length)
    found = {"identities": (dataset.num_train_pids, len({tracklet.pid for tracklet in dataset.test}))}
    for name, by_modality in dataset.counts.items():
        for modality, counts in by_modality.items():
            if counts.listed:
                found[f"{name} {modality.name.lower()}"] = (counts.kept, counts.frames)
    rows: list[Count] = []
    for name, numbers in found.items():
        units = ("of training", "of test") if name == "identities" else ("tracklets", "frames")
        full = dataset.full_copy.get(name, (None, None)) if compare else (None, None)
        rows += [(f"{name} {unit}", here, there) for unit, here, there in zip(units, numbers, full, strict=True)]
    return rows


def _differing(counts: Sequence[Count]) -> list[str]:
    return [f"{name}: {found}, not {full}" for name, found, full in counts if full not in (None, found)]


def _missing_frames(tracklets: Sequence[Tracklet]) -> list[str]:
    """The frames that are not on disk, in order; each folder is listed once, far cheaper than asking for each file."""

    @cache
    def names_in(folder: str) -> frozenset[str]:
        # A folder that may not be read is an error of its own.
        with suppress(FileNotFoundError, NotADirectoryError):
            return frozenset(os.listdir(folder))  # noqa: PTH208
        return frozenset()

    paths = (path for tracklet in tracklets for path in tracklet.paths)
    split = ((path, *os.path.split(path)) for path in paths)
    return [path for path, folder, name in split if name not in names_in(folder)]


def _unreadable_frames(tracklets: Sequence[Tracklet], skip: set[str], workers: int) -> list[str]:
    """Decodes every frame but some as training does; path and reason of each that cannot be decoded, in order."""

    def faults_of(tracklet: Tracklet) -> list[str]:
        faults = []
        for path in tracklet.paths:
            try:
                if path not in skip:
                    decode(read_content(Path(path)))
            except (OSError, ValueError) as error:
                faults.append(f"{path}: {error}")
        return faults

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        faults = pool.map(faults_of, tracklets)
        return [line for lines in tqdm(faults, "decoding", len(tracklets), disable=None) for line in lines]


def _one_sided_identities(dataset: VideoCrossModalityDataset) -> list[str]:
    """Those that have no match in training, by the dataset's own number."""
    seen = sorted({(tracklet.pid, tracklet.modality) for tracklet in dataset.train})
    both = Counter(pid for pid, _ in seen)
    number = dataset.train_identities
    return [f"identity {number[pid]}: {modality.name.lower()} only" for pid, modality in seen if both[pid] == 1]


def _misplaced(dataset: VideoCrossModalityDataset, task: str) -> Finding:
    asking = Modality.INFRARED if task == INFRARED_TO_VISIBLE else Modality.VISIBLE
    queries, gallery = ([dataset.test[index] for index in side] for side in dataset.tasks[task])
    names = [t.name for t in queries if t.modality != asking] + [t.name for t in gallery if t.modality == asking]
    return Finding(f"{task} tracklets on the side of the other modality", names)


def _unmatched(dataset: VideoCrossModalityDataset, task: str) -> list[Finding]:
    """The queries without a match in the gallery, and, as a note, those with matches in their own camera only."""
    queries, gallery = ([dataset.test[index] for index in side] for side in dataset.tasks[task])
    matches = Counter(tracklet.pid for tracklet in gallery)
    beside = Counter((tracklet.pid, tracklet.camid) for tracklet in gallery)
    unmatched = [query.name for query in queries if not matches[query.pid]]
    alone = [query.name for query in queries if 0 < matches[query.pid] == beside[query.pid, query.camid]]
    left_out = f"{task} queries left out by 'exclude', with matches in their own camera only"
    return [Finding(f"{task} queries without a match in the gallery", unmatched), Finding(left_out, alone, False)]
