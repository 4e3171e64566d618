"""Packs the frames of a dataset, and goes on where an earlier call was cut off."""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import lmdb

from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.frame_files import decode_clip
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.image_header import PictureError
from xreid_plugin.data.links import LinkError
from xreid_plugin.data.pack.format import INFO_KEY, PackError, PackInfo, digest, key_of, name_of, seal
from xreid_plugin.data.pack.store import open_pack, part_of, read_info, refuse_truncated
from xreid_plugin.data.picture_file import read_picture_file
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.files import sync_folder
from xreid_plugin.progress import ProgressBar

# Frames per transaction: what an interruption costs, and, decoded, some 64 MB of memory.
BATCH = 512

# For testing whether files can be decoded; large enough that all of each is looked at.
_ANY_SIZE = (288, 144)

# What a frame takes beside its bytes: a page's header and its checksum, and its key with pointers in half-full pages.
_VALUE_OVERHEAD = 24
_KEY_OVERHEAD = 32


class _Frame(NamedTuple):
    """A frame to pack, and one place where it is listed."""

    name: str
    path: str
    tracklet: Tracklet
    position: int

    def error(self, problem: str) -> FrameError:
        return FrameError(f"Frame {self.path} of tracklet {self.tracklet.name} {problem}.")


def pack_dataset(
    dataset: VideoCrossModalityDataset, output: Path, size: tuple[int, int] | None = None, workers: int = 0
) -> bool:
    """Packs all frames of a dataset's tracklets, each once.

    ``output`` appears when the last frame is in; until then there is ``output.part``, which the next call for the
    same pack continues.

    Args:
        dataset: the dataset whose frames are packed; read with min_length 1, it has all of them.
        output: the pack.
        size: (H, W) in pixels to decode frames at; None: the files as they are.
        workers: threads that read and decode; 0: one for each core.

    Returns:
        False if this very pack is there already.

    Raises:
        As :func:`pack_tracklets`.
    """
    return pack_tracklets(
        [*dataset.train, *dataset.test], dataset.home, type(dataset).__name__, output, size=size, workers=workers
    )


def pack_tracklets(
    tracklets: Iterable[Tracklet],
    home: Path,
    dataset: str,
    output: Path,
    *,
    size: tuple[int, int] | None = None,
    workers: int = 0,
) -> bool:
    """Packs all frames of some tracklets; see :func:`pack_dataset`.

    Args:
        tracklets: the tracklets, in the order in which their frames are to lie in the file.
        home: the dataset's folder.
        dataset: the name of its class.
        output: the pack.
        size: (H, W) in pixels to decode frames at; None: the files as they are.
        workers: threads that read and decode; 0: one for each core.

    Returns:
        False if this very pack is there already.

    Raises:
        FrameError: a frame is missing, not a picture, or a link out of ``home``.
        PackError: something else lies at ``output`` or beside it, another process packs there, or the disk is full.
        OSError: a file cannot be read or written.
    """
    frames = _frames_of(tracklets, home)
    info = PackInfo(dataset, size, len(frames), digest(frame.name for frame in frames))
    if output.exists():
        _refuse_other(open_pack(output).info, replace(info, complete=True), output)
        return False
    part = part_of(output)
    with _alone(part):
        _fill(part, info, frames, str(home), workers)
        part.replace(output)
    sync_folder(output.parent)
    return True


def _frames_of(tracklets: Iterable[Tracklet], home: Path) -> list[_Frame]:
    frames = {
        path: _Frame(name_of(path, home), path, tracklet, position)
        for tracklet in tracklets
        for position, path in enumerate(tracklet.paths)
    }
    return list(frames.values())


def _fill(part: Path, info: PackInfo, frames: Sequence[_Frame], home: str, workers: int) -> None:
    environment = _open_to_write(part)
    try:
        if part.stat().st_size and environment.stat()["entries"]:
            refuse_truncated(environment, part)
            _refuse_other(replace(read_info(environment, part), complete=False), info, part)
        else:
            _put(environment, {INFO_KEY: info.to_bytes()})
        missing = _not_yet_in(environment, frames)
        needed = _bytes_needed(missing, info.size, environment.stat()["psize"])
        _require_space(part, needed)
        environment.set_mapsize(part.stat().st_size + 2 * needed + (1 << 30))

        bar = ProgressBar("Packing", len(missing), "frame")
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool, bar:
            for batch in (missing[start : start + BATCH] for start in range(0, len(missing), BATCH)):
                _put(environment, dict(pool.map(partial(_load, home=home, size=info.size), batch)))
                bar.update(len(batch))
        _put(environment, {INFO_KEY: replace(info, complete=True).to_bytes()})
    except lmdb.Error as error:
        raise PackError(
            f"{part} cannot be written: {error}. Its disk has {shutil.disk_usage(part.parent).free:,} bytes free. "
            "Once this is fixed, the same command goes on where it stopped."
        ) from error
    finally:
        environment.close()


def _load(frame: _Frame, home: str, size: tuple[int, int] | None) -> tuple[bytes, bytes]:
    try:
        content = read_picture_file(frame.path, home)
    except PictureError as error:
        raise frame.error(f"is not usable: {error}") from error
    except LinkError as error:
        raise frame.error(f"is refused: {error}") from error
    # Decoded in either case: a pack holds no frame that training would stumble over.
    pixels = decode_clip(frame.tracklet, [frame.position], size or _ANY_SIZE, lambda _: content)
    key = key_of(frame.name)
    return key, seal(key, content if size is None else pixels.tobytes())


def _put(environment: lmdb.Environment, records: dict[bytes, bytes]) -> None:
    """All records or none: a transaction that reaches the disk before this returns."""
    with environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key, value)


def _not_yet_in(environment: lmdb.Environment, frames: Sequence[_Frame]) -> list[_Frame]:
    with environment.begin(buffers=True) as transaction:
        return [frame for frame in frames if transaction.get(key_of(frame.name)) is None]


def _bytes_needed(frames: Sequence[_Frame], size: tuple[int, int] | None, page: int) -> int:
    """An upper bound; each file is asked for, so that one that is missing is found before hours of work."""
    needed = 0
    for frame in frames:
        try:
            length = Path(frame.path).stat().st_size
        except OSError as error:
            raise frame.error(f"cannot be read: {error.strerror}") from error
        value = length if size is None else 3 * size[0] * size[1]
        needed += -(-(value + _VALUE_OVERHEAD) // page) * page + 2 * (len(key_of(frame.name)) + _KEY_OVERHEAD)
    return needed


def _require_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise PackError(
            f"{part} needs {needed:,} bytes more ({needed / (1 << 30):.1f} GiB), and its disk has {free:,} free: "
            "free some space, or name an --output on another disk. Without --frames a pack is many times smaller."
        )


def _refuse_other(found: PackInfo, wanted: PackInfo, file: Path) -> None:
    if found != wanted:
        # Where they read the same, the names differ: lists of another release, with as many frames.
        other = "of other names" if str(found) == str(wanted) else f"and not {wanted}"
        raise PackError(f"{file} holds {found}, {other}: remove it, or name another --output.")


def _open_to_write(part: Path) -> lmdb.Environment:
    try:
        return lmdb.open(str(part), subdir=False, lock=False, readahead=False, map_size=1 << 20)
    except lmdb.Error as error:
        raise PackError(f"{part} is no unfinished pack ({error}): remove it, or name another --output.") from error


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keeps a second packer out; the system releases the lock when this process ends, however it ends."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PackError(f"{part} is being written by another process; wait for it to end.") from error
        yield
