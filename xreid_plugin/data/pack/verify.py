"""Reads a whole pack and verifies every checksum in it."""

from pathlib import Path
from typing import NamedTuple

from lmdb.verify import VerifyError, verify

from xreid_plugin.data.pack.format import ChecksumError, digest, unseal
from xreid_plugin.data.pack.store import open_pack
from xreid_plugin.progress import ProgressBar

_SHOWN = 5


class Verdict(NamedTuple):
    """What :func:`verify_pack` found.

    Attributes:
        frames: how many frames were read.
        problems: what is wrong, a line each; none in a sound pack.
    """

    frames: int
    problems: list[str]


def verify_pack(file: Path) -> Verdict:
    """Checks the structure of the file, then the checksum of each frame, then that all frames are there.

    Raises:
        FileNotFoundError: there is no such pack.
        PackError: it cannot be opened.
    """
    try:
        # Walks the pages without LMDB's own code, which trusts them.
        broken = verify(str(file), subdir=False)
    except (VerifyError, OSError) as error:
        broken = [str(error)]
    if broken:
        return Verdict(0, [f"structure of the file: {problem}" for problem in broken[:_SHOWN]])

    pack = open_pack(file)
    names, damaged = [], []
    with ProgressBar("Verifying", pack.info.count, "frame") as bar:
        for key, value in pack.items():
            name = key.decode("utf-8", "surrogatepass")
            names.append(name)
            try:
                unseal(key, value)
            except ChecksumError as error:
                damaged.append(f"frame {name}: {error}")
            bar.update()
    problems = damaged[:_SHOWN]
    if len(damaged) > _SHOWN:
        problems.append(f"and {len(damaged) - _SHOWN:,} more damaged frames")
    if digest(names) != pack.info.names:
        problems.append(f"{len(names):,} frames are there, not the {pack.info.count:,} that were packed")
    return Verdict(len(names), problems)
