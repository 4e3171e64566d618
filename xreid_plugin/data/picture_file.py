"""The bytes of a picture file, and whether they are all there.

Decoders are lenient: of a JPEG that was cut off they give the upper part, grey below, and a line on standard error. So
the end of a file is looked at before it is decoded. Damage in its middle that leaves the codes valid decodes to wrong
pixels, which nothing here notices; a pack does, by its checksums.
"""

import errno
import os
import stat

from xreid_plugin.data.image_header import JPEG_START, PNG_START, PictureError
from xreid_plugin.data.links import refuse_outside

_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"

_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

# The process has run out of these, and the frame is not to blame.
_OF_THE_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def read_picture_file(path: str, home: str = "") -> bytes:
    """The content of a file; never waits for a pipe.

    Args:
        path: the file.
        home: the folder of its dataset, which links must not lead out of; empty where no dataset has named the file.

    Raises:
        PictureError: it is missing, is not a file, or cannot be read.
        LinkError: it is a link out of its dataset.
        OSError: the process has no files or no memory left.
    """
    try:
        descriptor = _open(path, home)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PictureError("it is no file")
            content = os.read(descriptor, status.st_size)
            # Some file systems give a part at a call, and Linux never more than 2 GiB.
            while len(content) < status.st_size and (more := os.read(descriptor, status.st_size - len(content))):
                content += more
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise PictureError("it is missing") from error
    except OSError as error:
        if error.errno in _OF_THE_PROCESS:
            raise
        raise PictureError(f"it cannot be read ({error.strerror})") from error
    return content


def _open(path: str, home: str) -> int:
    if not home:
        return os.open(path, _TO_READ)
    try:
        return os.open(path, _TO_READ | os.O_NOFOLLOW)
    except OSError as error:
        # Linux and macOS report the one for a link, BSD the other; a file that is not a link costs nothing more.
        if error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
    # A link that takes the checked file's place in the meantime is not followed either.
    return os.open(refuse_outside(path, home), _TO_READ | os.O_NOFOLLOW)


def refuse_cut_off(content: bytes | memoryview) -> None:
    """Refuses a JPEG or PNG whose end is not there; looks at its last bytes only, unless something follows the end.

    Args:
        content: the whole file's bytes; other formats are let through, for their decoders to judge.

    Raises:
        PictureError: it is empty, or was cut off.
    """
    if not content:
        raise PictureError("it is empty")
    if content[:2] == JPEG_START:
        # No code within a scan looks like either marker, while a preview in the headers has both.
        if content[-2:] != _JPEG_END and bytes(content).rfind(_JPEG_END) <= bytes(content).rfind(_JPEG_SCAN):
            raise PictureError("it was cut off: the end of the JPEG is not there")
    elif content[: len(PNG_START)] == PNG_START and content[-8:] != _PNG_END and _PNG_END not in bytes(content):
        raise PictureError("it was cut off: the end of the PNG is not there")
