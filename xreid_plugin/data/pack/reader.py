"""A pack as a source of frames."""

from collections.abc import Sequence
from pathlib import Path

import lmdb
import numpy as np

from xreid_plugin.data.frame_files import decode_clip
from xreid_plugin.data.frame_reader import BadFrameError, FrameError
from xreid_plugin.data.pack.format import ChecksumError, describe_size, name_of
from xreid_plugin.data.pack.store import PackFile, open_pack
from xreid_plugin.data.tracklet import Tracklet


class PackedFrames:
    """Reads frames out of a pack (a :class:`~xreid_plugin.data.frame_reader.FrameReader`).

    Pickled, it is two paths; each process opens the pack for itself when it first reads.
    """

    def __init__(self, file: Path, home: Path) -> None:
        """
        Args:
            file: the pack.
            home: the dataset's folder, below which the tracklets' paths lie; it need not hold them.

        Raises:
            FileNotFoundError: there is no such pack.
            PackError: it is not a pack, is cut off, or is not complete.
        """
        self.file = file
        self.home = home
        self._pack: PackFile | None = open_pack(file)

    @property
    def pack(self) -> PackFile:
        """The open pack; opens it if it is not open yet."""
        if self._pack is None:
            self._pack = open_pack(self.file)
        return self._pack

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pack": None}

    def read(self, tracklet: Tracklet, indices: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Reads frames of one tracklet, and verifies the checksum of each.

        Args:
            tracklet: the tracklet whose frames are wanted.
            indices: T positions in ``tracklet.paths``; a repeated one is read once.
            size: (H, W) in pixels; the pack's own, if its frames are decoded.

        Returns:
            (T, H, W, 3) uint8, RGB, 0 to 255.

        Raises:
            BadFrameError: a frame is not in the pack, or is damaged.
            FrameError: the pack's frames are of another size.
        """
        packed = self.pack.info.size
        if packed not in (None, size):
            raise FrameError(
                f"DATASETS.PACK names {self.file}, whose frames are {describe_size(packed)}; INPUT.SIZE_TRAIN or "
                f"SIZE_TEST asks for {size[0]}x{size[1]}. Set it to the pack's, or pack at that size (--frames)."
            )
        with self.pack.payloads() as payload:

            def content(index: int) -> memoryview:
                try:
                    return payload(name_of(tracklet.paths[index], self.home))
                except KeyError:
                    raise self._error(tracklet, index, "is not in", "It is from other lists: pack again") from None
                except (ChecksumError, lmdb.Error) as error:
                    remedy = "Run --verify on it"
                    raise self._error(tracklet, index, f"cannot be read ({error}) from", remedy) from error

            if packed is None:
                return decode_clip(tracklet, indices, size, content)
            clip = np.empty((len(indices), *size, 3), np.uint8)
            first_place: dict[int, int] = {}
            for place, index in enumerate(map(int, indices)):
                first = first_place.setdefault(index, place)
                known = first < place
                clip[place] = clip[first] if known else np.frombuffer(content(index), np.uint8).reshape(*size, 3)
            return clip

    def _error(self, tracklet: Tracklet, index: int, problem: str, remedy: str) -> BadFrameError:
        return BadFrameError(
            f"Frame {tracklet.paths[index]} of tracklet {tracklet.name} {problem} the pack {self.file}. "
            f"{remedy} (tools/pack_dataset.py).",
            index,
        )
