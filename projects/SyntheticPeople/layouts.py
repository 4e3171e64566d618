"""Writes sets in the layouts of HITSZ-VCM and BUPTCampus, drawn on one or several processes, and videos with tracks.

The folder ``root`` of a set appears only when the set is whole; FileExistsError where it holds something other than a
synthetic set, or one and ``overwrite`` is not given. The number of processes does not change the files. All writers
return how much was drawn, in words.
"""

import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from projects.SyntheticPeople.camera import draw_camera, expose
from projects.SyntheticPeople.person import draw_person
from projects.SyntheticPeople.plan import Stream, SyntheticSettings, TrackletPlan, plan_tracklets
from projects.SyntheticPeople.render import Walker, panorama, render_tracklet
from xreid_plugin.data.datasets.base import DRAWN
from xreid_plugin.data.tracklet import Modality

BUPT_CAMERAS = ("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")
# Numbers of the people in each, from 1, after those of a set of the same settings: none of them was trained on. A
# track is named by its person, so that one can tell which matches are right.
PEOPLE = {Modality.INFRARED: (1, 2, 3, 4, 7, 8), Modality.VISIBLE: (1, 2, 3, 4, 5, 6)}
CAMERAS = {Modality.INFRARED: 2, Modality.VISIBLE: 3}
RATE = 25.0  # Frames a second.
_FRAMES, _PITCH = 40, 18  # Of a walk at most, and from the beginning of one to that of the next.

Drawing = tuple[TrackletPlan, list[Path]]  # A tracklet and the file of each of its frames.


def write_vcm(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> str:
    """Writes a set in the form of HITSZ-VCM: Train, Test and info. All infrared test tracklets are queries."""
    train, test, _ = _identities(settings)
    with _staged(root, "vcm", settings, overwrite) as part:
        drawings = []
        for split, pids in (("train", train), ("test", test)):
            plans = plan_tracklets(settings, pids, settings.tracklets)
            drawings += _list_vcm_split(plans, split, part)
        queries = [str(number) for number, plan in enumerate(plans, start=1) if plan.modality is Modality.INFRARED]
        _write(part / "info" / "query_IDX.txt", [" ".join(queries)])
        return _draw_all(settings, drawings, workers)


def _list_vcm_split(plans: Sequence[TrackletPlan], split: str, root: Path) -> list[Drawing]:
    """Writes a split's two lists and says which files its tracklets go to."""
    names: list[str] = []
    tracks: list[str] = []
    drawings: list[Drawing] = []
    tracklets, frames = Counter[str](), Counter[str]()
    for plan in plans:
        # Frame numbers run on through the tracklets of a camera: they share a folder.
        folder, code = f"{plan.pid:04d}/{('ir', 'rgb')[plan.modality]}/D{plan.camera}", int(plan.modality) + 1
        numbers = range(frames[folder] + 1, frames[folder] + 1 + plan.frames)
        tracklets[folder] += 1
        frames[folder] += plan.frames
        tracks.append(f"{code} {len(names) + 1} {len(names) + plan.frames} {plan.pid} {plan.camera}")
        names += [f"{plan.pid:04d}M{code}D{plan.camera}T{tracklets[folder]}F{number}.jpg" for number in numbers]
        drawings.append((plan, [root / split.capitalize() / folder / f"{number}.jpg" for number in numbers]))
    _write(root / "info" / f"{split}_name.txt", names)
    _write(root / "info" / f"track_{split}_info.txt", tracks)
    return drawings


def write_bupt(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> str:
    """Writes a set in the form of BUPTCampus: DATA, data_paths.json and the lists of its four parts.

    Both modalities of a tracklet show one walk, frame by frame. The auxiliary identities have one tracklet of each
    modality. The first tracklet of a test identity is its query, infrared and visible in turn; its other tracklets are
    the gallery. There is no FakeIR: that is a learned translation. At most six cameras, at least two tracklets.
    """
    if settings.cameras > len(BUPT_CAMERAS):
        raise ValueError(f"cameras must be at most {len(BUPT_CAMERAS)} for BUPTCampus, not {settings.cameras}")
    if settings.tracklets < 2:
        raise ValueError("tracklets must be at least 2 for BUPTCampus: one is the query, the others are the gallery")
    with _staged(root, "bupt", settings, overwrite) as part:
        train, test, extra = (
            plan_tracklets(settings, pids, tracklets, paired=True)
            for pids, tracklets in zip(_identities(settings), (settings.tracklets, settings.tracklets, 1), strict=True)
        )
        # A pair is listed by its visible half; the half of a query's pair that does not ask is in no list.
        lists = {
            "train": [_bupt_line(plan, "RGB/IR") for plan in train if plan.modality],
            "train_auxiliary": [_bupt_line(plan, "RGB/IR") for plan in extra if plan.modality],
            "query": [_bupt_line(plan) for plan in test if plan.number == 0 and plan.modality == plan.pid % 2],
            "gallery": [_bupt_line(plan) for plan in test if plan.number > 0],
        }
        for name, lines in lists.items():
            _write(part / f"{name}.txt", lines)
        paths: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = {}
        drawings = []
        for plan in [*train, *extra, *test]:
            pid, modality, camera, number = _bupt_line(plan).split()
            stem = f"{pid}/{modality}/{camera}/{pid}_{modality}_{camera}_{number}"
            files = [f"{stem}_{frame}.jpg" for frame in range(1, plan.frames + 1)]
            paths.setdefault(pid, {}).setdefault(modality, {}).setdefault(camera, {})[number] = files
            drawings.append((plan, [part / "DATA" / file for file in files]))
        (part / "data_paths.json").write_text(json.dumps(paths), encoding="ascii")
        return _draw_all(settings, drawings, workers)


def _bupt_line(plan: TrackletPlan, modality: str = "") -> str:
    camera, sensor = BUPT_CAMERAS[plan.camera - 1], ("IR", "RGB")[plan.modality]
    return f"{plan.pid} {modality or sensor} {camera} {plan.number + 1}"


def write_videos(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> str:
    """Writes infrared.avi and visible.avi, Motion JPEG, and their tracks in MOTChallenge's format, in .txt.

    Some people are in both, some in one alone; tracks are those that a tracker would find. A frame is as high as those
    of a set and five times as wide. One process draws, whatever ``workers`` says.
    """
    with _staged(root, "videos", settings, overwrite) as part:
        frames = [_write_video(settings, modality, part / modality.name.lower()) for modality in PEOPLE]
    return f"2 videos of {frames[0]} and {frames[1]} frames, {sum(map(len, PEOPLE.values()))} tracks"


def _write_video(settings: SyntheticSettings, modality: Modality, stem: Path) -> int:
    """Writes STEM.avi and STEM.txt; returns the number of frames."""
    number, (height, width) = CAMERAS[modality], settings.size
    camera, surroundings = draw_camera(settings, number), panorama(settings, number, modality)
    people, rng = PEOPLE[modality], settings.rng(Stream.SCENE, number, int(modality), 1)
    walks = []
    for person in people:
        pid = settings.train_identities + settings.test_identities + person
        walk = (pid, int(modality), 0)
        walker = Walker(settings, draw_person(settings, pid), TrackletPlan(pid, modality, number, 0, _FRAMES, walk))
        # Where the walk is longer than the picture is wide, it ends at its edge.
        space = surroundings.shape[1] - width
        columns = walker.travelled[np.abs(walker.travelled) <= space]
        columns = (columns - columns.min() + rng.uniform(0, space - np.ptp(columns))).astype(int)
        walks.append((person, walker, columns.tolist()))
    length, lines = max(place * _PITCH + len(columns) for place, (_, _, columns) in enumerate(walks)), []
    writer = cv2.VideoWriter(str(stem) + ".avi", cv2.VideoWriter.fourcc(*"MJPG"), RATE, surroundings.shape[1::-1])
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {stem}.avi: its build lacks Motion JPEG.")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    for time in range(length):
        scene = surroundings.astype(np.float32)
        for place, (person, walker, columns) in enumerate(walks):
            frame = time - place * _PITCH
            if 0 <= frame < len(columns):
                left = columns[frame]
                crop = scene[:, left : left + width]
                crop[:] = walker.paint(crop, frame)
                lines.append(f"{time + 1},{person},{left + 1},1,{width},{height},1,-1,-1,-1")
        picture = expose(rng, camera, modality, scene)
        writer.write(np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))))
    writer.release()
    stem.with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return length


def _identities(settings: SyntheticSettings) -> tuple[range, range, range]:
    """The numbers of the training, the test and BUPTCampus's auxiliary identities."""
    train = range(1, settings.train_identities + 1)
    test = range(train.stop, train.stop + settings.test_identities)
    return train, test, range(test.stop, test.stop + max(1, len(train) // 4))


def _write(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


@contextmanager
def _staged(root: Path, layout: str, settings: SyntheticSettings, overwrite: bool) -> Iterator[Path]:
    """A folder beside ``root`` to write a set into, which takes the place of ``root`` when the block ends well."""
    if root.is_file() or (root.exists() and any(root.iterdir()) and not (overwrite and (root / DRAWN).is_file())):
        raise FileExistsError(f"{root} is not empty: name another output, or replace a synthetic set with --overwrite")
    part = root.absolute().with_name(f".{root.absolute().name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        (part / DRAWN).write_text(json.dumps({"layout": layout, **asdict(settings)}, indent=2) + "\n")
        if root.exists():
            shutil.rmtree(root)
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _draw_all(settings: SyntheticSettings, drawings: Sequence[Drawing], workers: int) -> str:
    people, frames = len({plan.pid for plan, _ in drawings}), sum(len(files) for _, files in drawings)
    draw = partial(_draw, settings)
    # Forking a process that runs threads, as torch's and OpenCV's, can leave the child waiting forever.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    progress = tqdm(desc=f"Drawing {people:,} people", total=frames, unit="frame", leave=False, disable=None)
    with pool, progress as bar:
        # Ctrl-C goes to all processes of a terminal, and workers would print tracebacks: they inherit what is blocked.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        drawn = map(draw, drawings) if workers == 1 else pool.map(draw, drawings, chunksize=8)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        count = 0
        for written in drawn:
            bar.update(written)
            tenth, count = 10 * count // frames, count + written
            # Without a terminal the bar is silent.
            if bar.disable and 10 * count // frames > tenth:
                print(f"Drawing {people:,} people: {count:,} of {frames:,} frames", file=sys.stderr, flush=True)
    return f"{people:,} identities, {len(drawings):,} tracklets, {frames:,} frames"


def _draw(settings: SyntheticSettings, drawing: Drawing) -> int:
    """Writes the frames of a tracklet, infrared ones as grey files of one channel, which is what such sensors give."""
    plan, files = drawing
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for file, frame in zip(files, render_tracklet(settings, draw_person(settings, plan.pid), plan), strict=True):
        file.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])[1].tobytes())
    return len(files)
