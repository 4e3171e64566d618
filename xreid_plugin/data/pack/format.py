"""What a pack is: one LMDB file with a record of itself and, by name, every frame of a dataset.

    key                                   value
    NUL "pack"                            PackInfo as JSON
    frame's path below the dataset's      checksum of key and payload, 8 bytes, little-endian; then the payload: the
    folder, with slashes, in UTF-8        file as it was, or its decoded pixels, (H, W, 3) uint8 RGB

The checksum is XXH3, 64 bits, seeded with the key's CRC-32: it takes a tenth of the time of zlib's CRC-32 over the
payload, which would be most of the time of reading a decoded frame.

A pack is written beside its place, as ``FILE.part``, and gets its name when it is complete. LMDB keeps integers in the
machine's own order: a pack serves little-endian 64-bit machines, which all of today's are.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from xxhash import xxh3_64_intdigest

INFO_KEY = b"\0pack"  # no path holds a NUL
_FORMAT = "xreid-pack"
_VERSION = 1
_SUM_BYTES = 8
_LONGEST_KEY = 511  # LMDB's own limit


class PackError(ValueError):
    """A pack that cannot be made or used; the message names its file and the remedy."""


class ChecksumError(ValueError):
    """A frame's bytes are not those that were packed."""


@dataclass(frozen=True)
class PackInfo:
    """A pack's record of itself.

    Attributes:
        dataset: the name of its class, as in DATASETS.NAMES.
        size: (H, W) of decoded frames, in pixels; None: the files as they were.
        count: number of frames once it is complete.
        names: SHA-256 of the frames' names.
        complete: whether all of them are in it.
    """

    dataset: str
    size: tuple[int, int] | None
    count: int
    names: str
    complete: bool = False

    def __str__(self) -> str:
        return f"{self.count:,} frames of {self.dataset}, {describe_size(self.size)}"

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps({"format": _FORMAT, "version": _VERSION, **asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, content: bytes | None, file: Path) -> Self:
        """Reads what :meth:`to_bytes` wrote.

        Args:
            content: the record's bytes; None where there is no record.
            file: the pack, for messages.

        Raises:
            PackError: it is not a record, or one of another version.
        """
        try:
            fields = json.loads(content or b"")
            form, version = fields.pop("format"), fields.pop("version")
            if (form, version) != (_FORMAT, _VERSION):
                raise PackError(f"{file} is of format {form} {version}, not {_FORMAT} {_VERSION}: pack it again.")
            size = fields["size"]
            fields["size"] = None if size is None else (int(size[0]), int(size[1]))
            return cls(**fields)
        except (ValueError, AttributeError, IndexError, KeyError, TypeError) as error:
            if isinstance(error, PackError):
                raise
            raise PackError(f"{file} is an LMDB file, but no pack of frames; see tools/pack_dataset.py.") from error


def describe_size(size: tuple[int, int] | None) -> str:
    """What a pack holds of each frame, for messages."""
    return "as files" if size is None else f"decoded at {size[0]}x{size[1]} (height x width)"


def digest(names: Iterable[str]) -> str:
    """SHA-256 of names, in whatever order they come."""
    return hashlib.sha256("\0".join(sorted(names)).encode("utf-8", "surrogatepass")).hexdigest()


def name_of(path: str, home: Path) -> str:
    """The name of a frame, from its path as a dataset below ``home`` gives it."""
    return path.removeprefix(f"{home}/")


def key_of(name: str) -> bytes:
    """The key of a frame.

    Raises:
        PackError: LMDB cannot take it.
    """
    key = name.encode("utf-8", "surrogatepass")
    if not 0 < len(key) <= _LONGEST_KEY:
        raise PackError(f"The path {name!r} has {len(key)} bytes; a pack takes 1 to {_LONGEST_KEY}.")
    return key


def seal(key: bytes, payload: bytes | memoryview) -> bytes:
    """The value of a frame: its checksum and its payload."""
    return b"".join([_checksum(key, payload), payload])


def unseal(key: bytes, value: memoryview) -> memoryview:
    """The payload of a value, which is a view into it.

    Raises:
        ChecksumError: it is not what was sealed under this key.
    """
    payload = value[_SUM_BYTES:]
    if value[:_SUM_BYTES] != _checksum(key, payload):
        raise ChecksumError("its checksum does not agree with its bytes")
    return payload


def _checksum(key: bytes, payload: bytes | memoryview) -> bytes:
    # Of the key too, so that a value under another frame's name is detected.
    return xxh3_64_intdigest(payload, zlib.crc32(key)).to_bytes(_SUM_BYTES, "little")
