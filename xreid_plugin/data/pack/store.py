"""An open pack: its record, and its frames by name; one LMDB environment per file and process."""

import os
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import lmdb

from xreid_plugin.data.pack.format import INFO_KEY, PackError, PackInfo, key_of, unseal

# LMDB refuses to open a file twice in a process; the loaders of training and of test share what is open.
_in_use: WeakValueDictionary[tuple[int, int], "PackFile"] = WeakValueDictionary()


def part_of(file: Path) -> Path:
    """Where a pack is written before it is complete."""
    return file.with_name(f"{file.name}.part")


def open_pack(file: Path) -> "PackFile":
    """The complete pack at ``file``, newly opened or already in use.

    Raises:
        FileNotFoundError: there is none.
        PackError: the file is not a pack, is cut off, or is not complete.
    """
    try:
        status = file.stat()
    except FileNotFoundError as error:
        part = part_of(file)
        remedy = f"packing was cut off ({part}); repeat its command" if part.exists() else "make it"
        raise FileNotFoundError(f"There is no pack {file}: {remedy} (tools/pack_dataset.py --help).") from error
    key = (status.st_dev, status.st_ino)
    pack = _in_use.get(key)
    if pack is None:
        pack = _in_use[key] = PackFile(file)
    return pack


class PackFile(Container[str]):
    """A pack that is open for reading; made by :func:`open_pack`.

    Survives a fork: each process opens the file for itself when it first reads.

    Attributes:
        file: the pack's path.
        info: its record.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._environment: lmdb.Environment | None = None
        self._owner = 0
        self.info = read_info(self._open(), file)
        if not self.info.complete:
            raise PackError(f"{file} is not complete; remove it and make it again (tools/pack_dataset.py --help).")

    def __contains__(self, name: object) -> bool:
        with self._open().begin(buffers=True) as transaction:
            return isinstance(name, str) and transaction.get(key_of(name)) is not None

    @contextmanager
    def payloads(self) -> Iterator[Callable[[str], memoryview]]:
        """A function from a frame's name to its payload, a view that is valid within the ``with`` alone.

        The function raises KeyError for a frame that is not there, and ChecksumError for one that is damaged.
        """
        with self._open().begin(buffers=True) as transaction:

            def payload(name: str) -> memoryview:
                key = key_of(name)
                value = transaction.get(key)
                if value is None:
                    raise KeyError(name)
                return unseal(key, value)

            yield payload

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """Keys and values of all frames, in the order of keys; a view is valid until the next."""
        with self._open().begin(buffers=True) as transaction:
            for key, value in transaction.cursor():
                if key != INFO_KEY:
                    yield bytes(key), value

    def _open(self) -> lmdb.Environment:
        if self._environment is None or self._owner != os.getpid():
            if self._environment is not None:
                # Inherited by a fork. Closing it gives up this process's mapping; the parent keeps its own.
                self._environment.close()
            self._environment = _open_to_read(self.file)
            self._owner = os.getpid()
        return self._environment


def read_info(environment: lmdb.Environment, file: Path) -> PackInfo:
    """The record of an open pack.

    Raises:
        PackError: it has none, or one of another version.
    """
    with environment.begin() as transaction:
        return PackInfo.from_bytes(transaction.get(INFO_KEY), file)


def refuse_truncated(environment: lmdb.Environment, file: Path) -> None:
    """Raises PackError where the file ends before its last page: reading there would kill the process."""
    expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    found = file.stat().st_size
    if found < expected:
        environment.close()
        raise PackError(f"{file} has {found:,} bytes of {expected:,}: it was cut off; copy it or make it again.")


def _open_to_read(file: Path) -> lmdb.Environment:
    try:
        # Frames are many pages long, and those of a clip lie close together: without reading ahead, each page would
        # wait for the disk by itself. Without a lock file, a pack serves from a disk that is mounted read-only too;
        # nobody writes to a complete one.
        environment = lmdb.open(str(file), subdir=False, readonly=True, lock=False, readahead=True)
    except lmdb.Error as error:
        raise PackError(f"{file} cannot be opened as a pack: {error}") from error
    refuse_truncated(environment, file)
    return environment
