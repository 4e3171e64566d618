"""The configuration that a checkpoint carries as text, which may be of anybody's making."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.config_files import parse_yaml
from xreid_plugin.config_merge import quoted
from xreid_plugin.torch_files import WeightFileError

# What merging raises where text that is YAML is no configuration of ours; a ConfigError is a ValueError.
_NOT_OURS = (LookupError, TypeError, AttributeError, ValueError, AssertionError, RecursionError)

_KEYS_SHOWN = 3


def adopt_stored_config(cfg: CfgNode, text: Any, path: Path, keys: Sequence[str] | None = None) -> None:
    """Lays the configuration of a checkpoint over another, in place.

    Args:
        cfg: to change.
        text: the checkpoint's entry "config".
        path: of the checkpoint.
        keys: full dotted names of those to take; None: all.

    Raises:
        WeightFileError: it is no text, no YAML of plain values, absurdly large, or does not fit ``cfg``, as one with
            keys of a module of the user's own that is not imported.
    """
    try:
        if not isinstance(text, str):
            raise TypeError(f"it is no text but {type(text).__name__}")
        stored, _ = parse_yaml(text, "its entry 'config'")
        if keys is None:
            _refuse_unknown_keys(cfg, stored, path)
            cfg.merge_from_other_cfg(CfgNode(stored))
        else:
            # As a command line would give them, so that their types are checked too.
            values = [reduce(getitem, key.split("."), stored) for key in keys]
            cfg.merge_from_list([part for pair in zip(keys, values, strict=True) for part in pair])
    except WeightFileError:
        raise
    except _NOT_OURS as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise WeightFileError(
            f"{path} holds a configuration that cannot be read ({reason}); save the checkpoint anew, or remove its "
            "entry 'config' and give the configuration that it was trained with."
        ) from error


def _refuse_unknown_keys(cfg: CfgNode, stored: Mapping[str, Any], path: Path) -> None:
    unknown = list(_unknown_keys(cfg, stored))
    if unknown:
        shown = f"{', '.join(map(quoted, unknown[:_KEYS_SHOWN]))}{' ...' if len(unknown) > _KEYS_SHOWN else ''}"
        raise WeightFileError(
            f"{path} holds a configuration with keys that there are not ({shown}): if a module of yours adds them, "
            "import it with --import, or in a program before this; otherwise another version of the plugin saved it."
        )


def _unknown_keys(group: Mapping[str, Any], stored: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Names of keys, and of groups of them, that only the second has."""
    for name, value in stored.items():
        if name not in group:
            yield f"{prefix}{name}"
        elif isinstance(value, Mapping) and isinstance(group[name], Mapping):
            yield from _unknown_keys(group[name], value, f"{prefix}{name}.")
