"""Arrays of an .npz that somebody else may have written: each has the expected form, or the error says what it is."""

import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

# Features hardly compress; even zeros left in by mistake shrink a file by less than this.
MOST_COMPRESSED = 64
# A file so small may be all zeros.
ALWAYS_UNPACKED = 2**28


class FeatureFileError(ValueError):
    """A file of features that cannot be used; the message names the file, the array and what was expected."""


@dataclass(frozen=True, eq=False)
class Archive:
    """Arrays as they were read, and methods that either return what was asked for or raise FeatureFileError.

    Attributes:
        path: the file's path, for messages.
        arrays: the arrays, by name.
    """

    path: Path
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path, names: Iterable[str]) -> Self:
        """Reads those of the named arrays that are there, and no pickled object.

        Raises:
            FeatureFileError: there is no such file, it is not an archive, or an array is damaged.
        """
        if not path.is_file():
            raise FeatureFileError(f"{path}: no such file; expected an .npz archive of features.")
        arrays, reading = {}, "the archive"
        try:
            # Opened here, so that it is closed here: numpy leaves a file open that it refuses.
            with path.open("rb") as file:
                _refuse_bomb(file, path.stat().st_size)
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise ValueError("it holds a single array")
                for name in names:
                    reading = f"array '{name}'"
                    if name in archive.files:
                        _refuse_false_header(archive, name)
                        arrays[name] = archive[name]
        # Besides their own errors, zipfile and numpy let through whatever Python raises over damaged bytes.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FeatureFileError(
                f"{path}: {reading} cannot be read ({reason}); expected an .npz archive without pickled objects."
            ) from error
        return cls(path, arrays)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def error(self, name: str, expected: str) -> FeatureFileError:
        """The error for an array that is missing or is not what it should be."""
        array = self.arrays.get(name)
        found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        return FeatureFileError(f"{self.path}: array '{name}' is {found}; expected {expected}.")

    def matrix(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
        """(n, F) float32, finite, of the shape of "features" if that is given."""
        wanted = "(tracklets, dimensions), neither of them 0" if shape is None else f"{shape} as 'features' has"
        array = self.arrays.get(name)
        fits = array is not None and array.ndim == 2 and array.size > 0 and shape in (None, array.shape)
        if array is None or not fits or not np.issubdtype(array.dtype, np.floating):
            raise self.error(name, f"floating numbers of shape {wanted}")
        with np.errstate(over="ignore"):
            single = np.ascontiguousarray(array, dtype=np.float32)
        finite = np.isfinite(single).all(1)
        if not finite.all():
            raise self.error(name, f"numbers that are finite in float32, but row {int(np.argmin(finite))} holds others")
        return single

    def integers(self, name: str, count: int | None = None) -> NDArray[np.int64]:
        """(count,) int64, or of any length."""
        array = self.arrays.get(name)
        if (
            array is None
            or array.ndim != 1
            or not np.issubdtype(array.dtype, np.integer)
            or count not in (None, len(array))
        ):
            wanted = "(any number,)" if count is None else f"({count},), one for each row of 'features'"
            raise self.error(name, f"integers of shape {wanted}")
        return array.astype(np.int64)

    def indices(self, name: str, count: int) -> tuple[int, ...]:
        """At least one, each in 0..count-1."""
        indices = self.integers(name)
        if len(indices) == 0 or indices.min() < 0 or indices.max() >= count:
            raise self.error(name, f"one index or more, all in 0..{count - 1}")
        return tuple(indices.tolist())

    def flags(self, name: str, count: int) -> NDArray[np.bool_]:
        """(count,) bool."""
        array = self.arrays.get(name)
        if array is None or array.dtype != np.bool_ or array.shape != (count,):
            raise self.error(name, f"booleans of shape ({count},), one for each row of 'features'")
        return array

    def texts(self, name: str, shape: tuple[int, ...]) -> NDArray[np.str_]:
        """Text of this shape."""
        array = self.arrays.get(name)
        if array is None or array.dtype.kind != "U" or array.shape != shape:
            raise self.error(name, f"text of shape {shape}")
        return array


def _refuse_bomb(file: BinaryIO, held: int) -> None:
    """Refuses an archive that claims to unpack to far more than its ``held`` bytes, before any of it is unpacked."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no zip, as np.savez writes it")
    with zipfile.ZipFile(file) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > max(ALWAYS_UNPACKED, MOST_COMPRESSED * held):
        raise ValueError(f"it has {held:,} bytes and would unpack to {claimed:,}")
    file.seek(0)


def _refuse_false_header(archive: Any, name: str) -> None:
    """Refuses an array whose header claims another size than its entry has; numpy allocates what it claims."""
    entry = archive.zip.getinfo(name if name in archive.zip.namelist() else f"{name}.npy")
    with archive.zip.open(entry) as stream:
        version = npy.read_magic(stream)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"it is of an unknown version of the format, {version}")
        shape, _, dtype = readers[version](stream)
        if dtype.hasobject:
            raise ValueError("it holds pickled objects, which could run code")
        claimed = math.prod(shape) * dtype.itemsize
        if claimed != entry.file_size - stream.tell():
            raise ValueError(f"its header claims {claimed:,} bytes, its entry has {entry.file_size - stream.tell():,}")
