import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xreid_plugin.data.image_header import (
    MOST_PIXELS,
    PictureError,
    PictureSize,
    picture_size,
    refuse_huge,
)

# As long as a camera's may be, and full of what could be taken for the size.
NOTES = b"Exif\0\0" + b"\xff\xc0" * 4000


def encoded(height, width, kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, kind, **options)
    return file.getvalue()


def claiming(content, height, width):
    """The same picture, but for the size that its header declares."""
    if content.startswith(b"\x89PNG"):
        header = content[12:16] + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    place = content.index(b"\xff\xc0")
    return content[: place + 5] + struct.pack(">HH", height, width) + content[place + 9 :]


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    options=st.sampled_from(
        [
            ("JPEG", {}),
            ("JPEG", {"progressive": True}),
            ("JPEG", {"exif": b"Exif\0\0" + b"\xff\xc0" * 4000}),
            ("PNG", {}),
        ]
    ),
)
def test_the_size_is_the_decoders(height, width, options):
    kind, more = options
    content = encoded(height, width, kind, **more)
    with Image.open(io.BytesIO(content)) as image:
        assert picture_size(content) == PictureSize(image.height, image.width) == (height, width)
    refuse_huge(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_declares_too_much_is_refused_unread(kind):
    content = claiming(encoded(8, 8, kind), 8001, 8000)
    with pytest.raises(PictureError, match=r"declares 8000 x 8001 pixels, 64,008,000 in all; at most 64,000,000"):
        refuse_huge(content)
    assert MOST_PIXELS == 8000 * 8000
    refuse_huge(claiming(content, 8000, 8000))


def test_a_size_behind_many_segments_is_found():
    content = claiming(encoded(8, 8, "JPEG"), 60_000, 60_000)
    notes = b"\xff\xe1" + struct.pack(">H", 65_535) + bytes(65_533)
    with pytest.raises(PictureError, match="60000 x 60000"):
        refuse_huge(content[:2] + 5 * notes + content[2:])


@given(
    content=st.binary(max_size=200), start=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
)
def test_any_bytes_have_a_size_or_none(content, start):
    size = picture_size(start + content)
    assert size is None or (size.height >= 0 and size.width >= 0)


def test_what_it_cannot_tell_is_left_to_the_decoder():
    assert picture_size(encoded(4, 4, "BMP")) is None
    assert picture_size(b"") is None
    whole = encoded(5, 6, "JPEG")
    assert picture_size(memoryview(np.frombuffer(whole, np.uint8))) == (5, 6)
    assert picture_size(whole[:20]) is None
