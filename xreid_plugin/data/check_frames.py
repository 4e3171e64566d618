"""Whether all frames of a copy are there, are its own, and can be decoded."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain

from tqdm import tqdm

from xreid_plugin.data.frame_files import decode_whole
from xreid_plugin.data.image_header import PictureError
from xreid_plugin.data.links import LinkError, refuse_outside
from xreid_plugin.data.picture_file import read_picture_file
from xreid_plugin.data.tracklet import Tracklet


def missing_frames(tracklets: Sequence[Tracklet]) -> list[str]:
    """The frames that are not on disk, in order; each folder is listed once, far cheaper than asking for each file."""
    names_in = lru_cache(maxsize=256)(_names_in)
    missing = []
    for path in chain.from_iterable(tracklet.paths for tracklet in tracklets):
        folder, name = os.path.split(path)
        if name not in names_in(folder):
            missing.append(path)
    return missing


def frames_led_astray(tracklets: Sequence[Tracklet]) -> list[str]:
    """The frames that are links out of their dataset's folder, in order; none where tracklets have no such folder."""
    links_in = lru_cache(maxsize=256)(_links_in)
    astray = []
    for tracklet in tracklets:
        for path in tracklet.paths:
            folder, name = os.path.split(path)
            if tracklet.home and name in links_in(folder) and _leads_out(path, tracklet.home):
                astray.append(path)
    return astray


def unreadable_frames(tracklets: Sequence[Tracklet], skip: set[str], workers: int = 0) -> list[str]:
    """Decodes every frame as training does: what it finds is what training would stumble over.

    Args:
        tracklets: the tracklets whose frames are decoded.
        skip: paths to leave out.
        workers: number of threads, which decode and read in parallel. 0: one for each core.

    Returns:
        A line for each frame that cannot be decoded, in order: path and reason.
    """

    def decode(tracklet: Tracklet) -> list[str]:
        reasons = ((path, _reason_unreadable(path, tracklet.home)) for path in tracklet.paths if path not in skip)
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


def _leads_out(path: str, home: str) -> bool:
    try:
        refuse_outside(path, home)
    except LinkError:
        return True
    return False


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


def _reason_unreadable(path: str, home: str) -> str | None:
    try:
        decode_whole(read_picture_file(path, home))
    except (PictureError, LinkError) as error:
        return str(error)
    return None
