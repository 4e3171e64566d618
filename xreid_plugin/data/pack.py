"""A dataset's frames in one LMDB file: a pack.

    key                                   value
    NUL "pack"                            PackInfo as JSON
    frame's path below the dataset's      CRC-32 of the payload, CRC-32, size and time (ns) of the file, 4 + 4 + 8 + 8
    folder, with slashes                  bytes, little-endian; then the payload: the file as it was, or its decoded
                                          pixels, (H, W, 3) uint8 RGB

A pack is written beside its place, as ``FILE.part``, and gets its name when it is complete. LMDB's transactions make
what was written before an interruption whole, so that the next call goes on from there. Checksums, sizes and
times are for :func:`verify_pack`: reading trusts the disk.
"""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import lmdb
import numpy as np
from tqdm import tqdm

from xreid_plugin.data.frame_reader import FrameReader, LooseFrames, decode
from xreid_plugin.data.tracklet import Tracklet

_INFO_KEY = b"\0pack"  # no path holds a NUL
_FORMAT = "xreid-pack 5"
_HEADER = struct.Struct("<IIqq")
_BATCH = 512  # frames per transaction: what an interruption costs, and, decoded, some 64 MB of memory
_MAP_BYTES = 1 << 40  # address space, not memory or disk; no pack outgrows it


@dataclass(frozen=True)
class PackInfo:
    """A pack's record of itself."""

    dataset: str  # The name of its class, as in DATASETS.NAMES.
    size: tuple[int, int] | None  # (H, W) of decoded frames, in pixels; None: the files as they were.
    count: int  # Number of frames.
    names: str  # SHA-256 of the frames' sorted names.
    format: str = _FORMAT

    def __str__(self) -> str:
        kind = "as files" if self.size is None else f"decoded at {self.size[0]}x{self.size[1]} (height x width)"
        return f"{self.count:,} frames of {self.dataset}, {kind}"


class Pack(Container[str]):
    """A pack that is open for reading: which frames it has, by name.

    LMDB opens a file once in a process, so those who read it share this. Each process opens the file for itself, after
    a fork too. Pickled, it is a path.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is not a pack, or was cut off.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            raise FileNotFoundError(f"There is no pack {file}: make it, or finish it, with tools/pack_dataset.py.")
        self.file = file
        self._open()
        with self.reading() as transaction:
            self.info = _read_info(transaction.get(_INFO_KEY), file)

    def __contains__(self, name: object) -> bool:
        with self.reading() as transaction:
            return isinstance(name, str) and transaction.get(os.fsencode(name)) is not None

    def check_tracklets(self, tracklets: Iterable[Tracklet], home: Path) -> None:
        """Raises ValueError where the pack lacks a frame of these, whose paths lie below ``home``."""
        paths = (path for tracklet in tracklets for path in tracklet.paths)
        with self.reading() as transaction:
            lacking = next((path for path in paths if transaction.get(_key(path, home)) is None), None)
        if lacking is not None:
            # Before training, in which another frame would stand in for it.
            raise ValueError(
                f"{self.file} lacks {lacking}: it is incomplete, or of other lists. Pack again (tools/pack_dataset.py)."
            )

    def __reduce__(self) -> tuple[object, ...]:
        return Pack, (self.file,)

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A transaction, whose values are views that are valid within the ``with`` alone."""
        if self._owner != os.getpid():
            # Inherited by a fork. Closing it gives up this process's mapping; the parent keeps its own.
            self._environment.close()
            self._open()
        with self._environment.begin(buffers=True) as transaction:
            yield transaction

    def _open(self) -> None:
        try:
            # Reading ahead, since frames are many pages long and those of a clip lie close together. Without a lock
            # file, a pack serves from a disk that is mounted read-only too; nobody writes to a complete one.
            self._environment = lmdb.open(str(self.file), subdir=False, readonly=True, lock=False, readahead=True)
        except lmdb.Error as error:
            raise ValueError(f"{self.file} cannot be opened as a pack: {error}") from error
        self._owner = os.getpid()
        expected = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        if self.file.stat().st_size < expected:
            # Reading beyond its end would kill the process.
            self._environment.close()
            raise ValueError(f"{self.file} was cut off, it lacks some of {expected:,} bytes: copy it or make it again.")


class PackedFrames(FrameReader):
    """Reads the frames of a pack, the same pixels as :class:`LooseFrames`."""

    def __init__(self, pack: Pack, home: Path) -> None:
        """``home``: the dataset's folder, below which the tracklets' paths lie; it need not hold them."""
        self.pack = pack
        self.home = home

    @contextmanager
    def pictures(self) -> Iterator[Callable[[str], np.ndarray]]:
        """See the base class; a decoded frame has the pack's size."""
        size = self.pack.info.size
        with self.pack.reading() as transaction:

            def picture(path: str) -> np.ndarray:
                value = transaction.get(_key(path, self.home))
                if value is None:
                    raise ValueError(f"it is not in the pack {self.pack.file}, which is of other lists: pack again")
                payload = value[_HEADER.size :]
                return decode(payload) if size is None else np.frombuffer(payload, np.uint8).reshape(*size, 3)

            yield picture


def pack_tracklets(
    tracklets: Iterable[Tracklet],
    home: Path,
    dataset: str,
    output: Path,
    *,
    size: tuple[int, int] | None = None,
    workers: int = 0,
) -> bool:
    """Packs all frames of some tracklets, each once, or goes on with ``output.part`` where an earlier call was cut off.

    Args:
        tracklets: the tracklets, in the order in which their frames are to lie in the file.
        home: the dataset's folder.
        dataset: the name of its class.
        output: the pack; it appears when the last frame is in.
        size: (H, W) in pixels to decode frames at; None: the files as they are.
        workers: threads that read and decode; 0: one for each core.

    Returns:
        False if this very pack is there already.

    Raises:
        FrameError: a frame is missing or not a picture.
        ValueError: another pack lies at ``output`` or beside it.
        OSError: a file cannot be read or written, as where the disk is full.
    """
    frames = {_key(path, home): (tracklet, i) for tracklet in tracklets for i, path in enumerate(tracklet.paths)}
    info = PackInfo(dataset, size, len(frames), _digest(frames))
    if output.exists():
        _refuse_other(Pack(output).info, info, output)
        return False
    part = output.with_name(f"{output.name}.part")
    try:
        with lmdb.open(str(part), subdir=False, map_size=_MAP_BYTES, readahead=False) as environment:
            _fill(environment, info, frames, workers)
    except lmdb.Error as error:
        raise OSError(f"{part}: {error}. Once this is fixed, the same command goes on where it stopped.") from error
    part.replace(output)
    part.with_name(f"{part.name}-lock").unlink(missing_ok=True)
    return True


def _fill(
    environment: lmdb.Environment, info: PackInfo, frames: Mapping[bytes, tuple[Tracklet, int]], workers: int
) -> None:
    part = Path(environment.path())
    with environment.begin(write=True) as transaction:
        if not transaction.put(_INFO_KEY, json.dumps(asdict(info)).encode(), overwrite=False):
            _refuse_other(_read_info(transaction.get(_INFO_KEY), part), info, part)
        missing = [key for key in frames if transaction.get(key) is None]

    def record(key: bytes) -> tuple[bytes, bytes]:
        tracklet, index = frames[key]
        # Decoded in either case: a pack holds no frame that training would stumble over.
        pixels = LooseFrames().read(tracklet, [index], info.size or (1, 1))
        file = Path(tracklet.paths[index])
        state, content = _state(file), file.read_bytes()
        payload = pixels.tobytes() if info.size else content
        return key, _HEADER.pack(zlib.crc32(payload), zlib.crc32(content), *state) + payload

    progress = tqdm(desc="Packing", total=len(missing), unit="frame", leave=False, disable=None)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool, progress as bar:
        for start in range(0, len(missing), _BATCH):
            records = list(pool.map(record, missing[start : start + _BATCH]))
            # All of them or none, and on the disk before the next are read.
            with environment.begin(write=True) as transaction:
                transaction.cursor().putmulti(records)
            bar.update(len(records))


def verify_pack(pack: Pack, home: Path) -> list[str]:
    """Reads a whole pack.

    Returns:
        What is wrong, a line each: frames whose checksum does not agree, that are not there, or whose file below
        ``home``, the dataset's folder, has changed since; the files may be gone.
    """
    names, problems = [], []
    progress = tqdm(desc="Verifying", total=pack.info.count, unit="frame", leave=False, disable=None)
    with pack.reading() as transaction, progress as bar:
        for key, value in transaction.cursor():
            if key != _INFO_KEY:
                names.append(bytes(key))
                frame = os.fsdecode(names[-1])
                checksum, file_checksum, *state = _HEADER.unpack_from(value)
                if zlib.crc32(value[_HEADER.size :]) != checksum:
                    problems.append(f"frame {frame}: its checksum does not agree with its bytes")
                if _has_changed(home / frame, tuple(state), file_checksum):
                    problems.append(f"frame {frame}: its file has changed since")
                bar.update()
    if _digest(names) != pack.info.names:
        problems.append(f"{len(names):,} frames are there, not the {pack.info.count:,} that were packed")
    return problems


def _key(path: str, home: Path) -> bytes:
    return os.fsencode(path.removeprefix(f"{home}/"))


def _has_changed(file: Path, state: tuple[int, ...], checksum: int) -> bool:
    # A copy has another time: its content tells it from another file.
    return file.is_file() and _state(file) != state and zlib.crc32(file.read_bytes()) != checksum


def _state(file: Path) -> tuple[int, int]:
    """What changes when a file does: its size and its time."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _digest(keys: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(sorted(keys))).hexdigest()


def _refuse_other(found: PackInfo, wanted: PackInfo, file: Path) -> None:
    if found != wanted:
        raise ValueError(f"{file} is of other frames: {found}; wanted: {wanted}. Remove it, or name another --output.")


def _read_info(content: bytes | memoryview | None, file: Path) -> PackInfo:
    fields = json.loads(bytes(content)) if content else {}
    if fields.get("format") != _FORMAT:
        raise ValueError(f"{file} is no pack of frames of this version: make it again (tools/pack_dataset.py).")
    return PackInfo(**{**fields, "size": tuple(fields["size"]) if fields["size"] else None})
