"""A set appears under its name when it is whole, or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from xreid_plugin.data.synthetic.settings import SyntheticSettings

MARK = "synthetic.json"
"""File at the root of a written set: its layout and settings. Only a folder that has one is ever overwritten."""


@contextmanager
def staged(root: Path, layout: str, settings: SyntheticSettings, *, overwrite: bool) -> Iterator[Path]:
    """A folder beside ``root`` to write a set into; it takes the place of ``root`` when the block ends without error.

    Args:
        root: where the set is to be.
        layout: the set's layout, noted in its mark.
        settings: likewise.
        overwrite: whether a synthetic set at ``root`` may be replaced.

    Raises:
        FileExistsError: ``root`` is a file, or holds something and must not or cannot safely be replaced.
    """
    root = root.absolute()
    refuse_occupied(root, overwrite=overwrite)
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f".{root.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        mark = {"layout": layout, **asdict(settings)}
        (partial / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
        _replace(root, partial, overwrite=overwrite)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_occupied(root: Path, *, overwrite: bool) -> None:
    """Raises FileExistsError where ``staged`` would."""
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise FileExistsError(f"{root} is not a folder: name another output")
    if not root.exists() or not any(root.iterdir()):
        return
    if not (root / MARK).is_file():
        raise FileExistsError(
            f"{root} is not empty, and without {MARK} it is no synthetic set that may be replaced: name another output"
        )
    if not overwrite:
        raise FileExistsError(f"{root} holds a synthetic set: name another output, or replace it with --overwrite")


def _replace(root: Path, partial: Path, *, overwrite: bool) -> None:
    # Writing takes a while: somebody may have put something there since.
    refuse_occupied(root, overwrite=overwrite)
    if not root.exists():
        partial.rename(root)
        return
    old = root.with_name(f".{root.name}.old-{os.getpid()}")
    root.rename(old)
    try:
        partial.rename(root)
    except OSError:
        old.rename(root)
        raise
    shutil.rmtree(old)
