"""The configuration that a checkpoint carries as text, which may be of anybody's making."""

from collections.abc import Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.config_files import parse_yaml
from xreid_plugin.torch_files import WeightFileError

# What merging raises where text that is YAML is no configuration of ours; a ConfigError is a ValueError.
_NOT_OURS = (LookupError, TypeError, AttributeError, ValueError, AssertionError, RecursionError)


def adopt_stored_config(cfg: CfgNode, text: Any, path: Path, keys: Sequence[str] | None = None) -> None:
    """Lays the configuration of a checkpoint over another, in place.

    Args:
        cfg: to change.
        text: the checkpoint's entry "config".
        path: of the checkpoint.
        keys: full dotted names of those to take; None: all.

    Raises:
        WeightFileError: it is no text, no YAML of plain values, absurdly large, or does not fit ``cfg``.
    """
    try:
        if not isinstance(text, str):
            raise TypeError(f"it is no text but {type(text).__name__}")
        stored, _ = parse_yaml(text, "its entry 'config'")
        if keys is None:
            cfg.merge_from_other_cfg(CfgNode(stored))
        else:
            # As a command line would give them, so that their types are checked too.
            values = [reduce(getitem, key.split("."), stored) for key in keys]
            cfg.merge_from_list([part for pair in zip(keys, values, strict=True) for part in pair])
    except _NOT_OURS as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise WeightFileError(
            f"{path} holds a configuration that cannot be read ({reason}); save the checkpoint anew, or remove its "
            "entry 'config' and give the configuration that it was trained with."
        ) from error
