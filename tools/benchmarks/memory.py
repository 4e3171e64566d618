"""Memory of a dataset's paths: lists of strings beside one string a tracklet."""

from collections.abc import Sequence

from benchmarks.measure import Work
from benchmarks.report import Case, read_size
from xreid_plugin.data.tracklet import FramePaths, Modality, Tracklet

# Frames of a tracklet, the mean of HITSZ-VCM, which has 22,000 of them.
FRAMES = 21


def memory_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size, a number of tracklets."""
    found = []
    for size in sizes or ("22000",):
        number = read_size(size, "a number of tracklets, such as 22000", 1)
        needs = 400 * FRAMES * number[0]
        found.append(Case("paths, held", size, hold, number, "lists of str", scale=number[0], reference_bytes=needs))
    return found


def hold(tracklets: int, plainly: bool = False) -> Work:
    """Makes the tracklets, which outlive the run, but not the next one."""
    kept: list[Tracklet] = []

    def run() -> None:
        kept.clear()
        made = map(_tracklet, range(tracklets))
        kept.extend(made if plainly else (each._replace(paths=FramePaths(each.paths)) for each in made))

    return Work(run)


def _tracklet(number: int) -> Tracklet:
    # Named as HITSZ-VCM's are; no file exists at its paths.
    pid, camera, first = number // 24, number % 12, 1 + FRAMES * (number // 12 % 2)
    folder = f"/data/HITSZ-VCM/Train/{pid:04d}/{('ir', 'rgb')[number % 2]}/D{camera}"
    paths = [f"{folder}/{frame}.jpg" for frame in range(first, first + FRAMES)]
    return Tracklet(paths, pid, camera, Modality(number % 2), f"train{number:05d}_{pid:04d}M{number % 2}D{camera}")
