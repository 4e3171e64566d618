"""Checks a copy of a dataset before a day of training: its counts, its frames, and whether its queries have matches."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from xreid_plugin.data.check_counts import compare_with_full_copy
from xreid_plugin.data.check_frames import frames_led_astray, missing_frames, unreadable_frames
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, Modality, RetrievalTask, Tracklet
from xreid_plugin.words import counted

_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before training.

    Attributes:
        what: a phrase that follows a number other than 1.
        one: a phrase that follows a 1.
        count: the number, at least 1.
        examples: at most a handful.
        failure: whether the copy is at fault; False for a fact of the protocol.
    """

    what: str
    one: str
    count: int
    examples: Sequence[str]
    failure: bool = True

    def __str__(self) -> str:
        mark = "FAILURE" if self.failure else "note"
        return "\n".join(
            [f"{mark}: {counted(self.count, self.one, self.what)}", *(f"    {example}" for example in self.examples)]
        )


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        counts: rows of what was counted: its name, the number found, the number in a full copy, or None where the two
            are not compared.
        findings: failures first.
    """

    counts: Sequence[tuple[str, int, int | None]]
    findings: Sequence[Finding]

    @property
    def failed(self) -> bool:
        """Whether the copy is at fault anywhere."""
        return any(finding.failure for finding in self.findings)

    def __str__(self) -> str:
        table = tabulate(self._rows(), headers="keys", tablefmt="simple", intfmt=",")
        verdict = "The copy has failures." if self.failed else "The copy is clean."
        return "\n\n".join([table, *map(str, self.findings), verdict])

    def _rows(self) -> list[dict[str, object]]:
        compares = any(full is not None for _, _, full in self.counts)
        rows = []
        for name, found, full in self.counts:
            row: dict[str, object] = {"counted": name, "found": found}
            if compares:
                row |= {"full copy": "" if full is None else full, "": "" if full in (None, found) else "differs"}
            rows.append(row)
        return rows


def check_dataset(
    dataset: VideoCrossModalityDataset, *, deep: bool = False, workers: int = 0, compare_counts: bool = True
) -> Report:
    """Checks every kept tracklet of a dataset.

    Args:
        dataset: the dataset as its lists have it; reading has already refused malformed lines and shared identities.
        deep: also decode every frame, which takes minutes.
        workers: threads that decode; 0: one for each core.
        compare_counts: whether a count that differs from a full copy is a failure; else counts are not compared.

    Returns:
        The counts and all findings.

    Raises:
        OSError: a folder of frames cannot be read.
    """
    counts = compare_with_full_copy(dataset)
    if not compare_counts:
        counts = [(name, found, None) for name, found, _ in counts]
    differing = [f"{name}: {found}, not {full}" for name, found, full in counts if full not in (None, found)]
    tracklets = [*dataset.train, *dataset.test]
    missing = missing_frames(tracklets)
    unseen = [
        f"{tracklet.name}: camera {tracklet.camid}"
        for tracklet in dataset.test
        if tracklet.camid not in dataset.cameras
    ]
    astray = frames_led_astray(tracklets)
    broken = unreadable_frames(tracklets, {*missing, *astray}, workers) if deep else []
    findings = [
        _finding(
            "counts differ from a full copy (see --no-counts)",
            "count differs from a full copy (see --no-counts)",
            differing,
        ),
        _finding("frames are missing", "frame is missing", missing),
        _finding("frames are links that lead out of the copy", "frame is a link that leads out of the copy", astray),
        _finding("frames cannot be decoded", "frame cannot be decoded", broken),
        _finding(
            "training identities are seen in one modality only",
            "training identity is seen in one modality only",
            one_sided_identities(dataset),
        ),
        _finding(
            "test tracklets come from cameras that training never shows",
            "test tracklet comes from a camera that training never shows",
            unseen,
            failure=False,
        ),
        _finding(
            "tracklets hold frames of another identity, camera or modality",
            "tracklet holds frames of another identity, camera or modality",
            dataset.mixed,
            failure=False,
        ),
    ]
    for name, task in dataset.tasks.items():
        findings += _task_findings(name, task, dataset.test)
    found = [finding for finding in findings if finding.count]
    return Report(counts, sorted(found, key=lambda finding: not finding.failure))


def one_sided_identities(dataset: VideoCrossModalityDataset) -> list[str]:
    """Training identities seen in one modality only, by the dataset's own number; they have no match."""
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
    over = f"over {counted(len(affected), 'query', 'queries')}; 'exclude' ignores"
    return [
        _finding(
            f"{name} tracklets stand on the side of the other modality",
            f"{name} tracklet stands on the side of the other modality",
            misplaced,
        ),
        _finding(
            f"{name} queries have no match in the gallery", f"{name} query has no match in the gallery", unmatched
        ),
        _finding(
            f"{name} queries have matches in their own camera only; the 'exclude' protocol leaves them out",
            f"{name} query has matches in its own camera only; the 'exclude' protocol leaves it out",
            dropped,
            failure=False,
        ),
        Finding(
            f"{name} pairs show one identity in one camera, {over} them",
            f"{name} pair shows one identity in one camera, {over} it",
            pairs,
            affected[:_EXAMPLES],
            failure=False,
        ),
    ]


def _finding(many: str, one: str, cases: Sequence[str], failure: bool = True) -> Finding:
    return Finding(many, one, len(cases), cases[:_EXAMPLES], failure)
