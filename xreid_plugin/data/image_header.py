"""The size that a JPEG or PNG declares, read from its first bytes, so that a decompression bomb is never decoded."""

import struct
from typing import NamedTuple

# 64 megapixels, 192 MB once decoded: more than any surveillance camera gives, and what a data worker can afford.
MOST_PIXELS = 64_000_000

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = b"IHDR"
# Markers that hold the size: all of C0..CF but tables (C4, CC) and a reserved one (C8).
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a segment that says its length.
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_HEADERS = frozenset({0xD9, 0xDA})


class PictureSize(NamedTuple):
    """A picture's size, in pixels."""

    height: int
    width: int


class PictureError(ValueError):
    """A picture that is refused unread; the message says why."""


def picture_size(content: bytes | bytearray | memoryview) -> PictureSize | None:
    """The size that a picture declares.

    Args:
        content: the file's bytes, or its first ones.

    Returns:
        None for another format than JPEG and PNG, and where the bytes end before the size.
    """
    view = memoryview(content)
    if view[: len(PNG_START)] == PNG_START:
        return _png_size(view)
    return _jpeg_size(view) if view[: len(JPEG_START)] == JPEG_START else None


def refuse_huge(content: bytes | bytearray | memoryview) -> None:
    """Refuses a picture that declares more pixels than MOST_PIXELS; costs microseconds, and reads no pixel.

    Args:
        content: see :func:`picture_size`; a size that cannot be found is let through, for the decoder to judge.

    Raises:
        PictureError: names both numbers.
    """
    size = picture_size(content)
    if size is not None:
        check_size(*size)


def check_size(height: int, width: int) -> None:
    """Refuses a picture of that size if it has too many pixels.

    Raises:
        PictureError: it has more than MOST_PIXELS.
    """
    if height * width > MOST_PIXELS:
        raise PictureError(
            f"it declares {width} x {height} pixels, {height * width:,} in all; at most {MOST_PIXELS:,} are read"
        )


def _png_size(view: memoryview) -> PictureSize | None:
    if len(view) < 24 or view[12:16] != _PNG_HEADER:
        return None
    width, height = struct.unpack_from(">II", view, 16)
    return PictureSize(height, width)


def _jpeg_size(view: memoryview) -> PictureSize | None:
    place = len(JPEG_START)
    while place + 4 <= len(view):
        if view[place] != 0xFF:
            # Decoders skip junk between segments.
            place += 1
            continue
        marker = view[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _BARE_MARKERS or marker == 0:
            place += 2
        elif marker in _END_OF_HEADERS:
            return None
        elif marker in _FRAME_MARKERS:
            if place + 9 > len(view):
                return None
            height, width = struct.unpack_from(">HH", view, place + 5)
            return PictureSize(height, width)
        else:
            place += 2 + max(2, int.from_bytes(view[place + 2 : place + 4], "big"))
    return None
