"""The configuration that a checkpoint carries as text, which may be of anybody's making."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.torch_files import WeightFileError


def adopt_stored_config(cfg: CfgNode, text: Any, path: Path, keys: Sequence[str] | None = None) -> None:
    """Lays the configuration of a checkpoint over another, in place.

    Args:
        cfg: to change.
        text: the checkpoint's entry "config".
        path: of the checkpoint.
        keys: full dotted names of those to take; None: all.

    Raises:
        WeightFileError: it is no text, no YAML of plain values, or does not fit ``cfg``, as one with keys of a module
            of the user's own that is not imported.
    """
    try:
        stored = CfgNode.load_cfg(text)
        if keys is None:
            cfg.merge_from_other_cfg(stored)
        else:
            cfg.merge_from_list([part for key in keys for part in (key, attrgetter(key)(stored))])
    # What yacs raises depends on what is wrong.
    except Exception as error:
        raise WeightFileError(f"{path} holds a configuration that cannot be read: {error}") from error
