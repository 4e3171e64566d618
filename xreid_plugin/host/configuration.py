"""Configurations: files run no code, unknown keys name the nearest, and text that looks like a number stays text."""

import copy
import difflib
from ast import literal_eval
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from fastreid.config import CfgNode

_load_yaml_with_base = CfgNode.load_yaml_with_base
_merge_from_list = CfgNode.merge_from_list


def _nearest(path: Path) -> list[str]:
    """The configurations in its folder, and those of the working folder's projects, that it may be a misspelling of."""
    files = [*path.parent.glob("*.yml"), *Path("configs").rglob("*.yml"), *Path("projects").rglob("*.yml")]
    names = list(dict.fromkeys(map(str, files)))
    return difflib.get_close_matches(str(path), names, n=3) or [name for name in names if Path(name).name == path.name]


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a node that holds a value and no further keys, by its full dotted name, with its value."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def load_yaml_with_base(filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
    """Replaces ``CfgNode.load_yaml_with_base``, which runs code from a file where ``allow_unsafe`` says so.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no YAML mapping of plain values.
    """
    try:
        keys = _load_yaml_with_base(filename)
    except FileNotFoundError as error:
        missing = Path(error.filename or filename)
        near = _nearest(missing)
        hint = f"; the nearest is {' or '.join(near)}" if near else ""
        raise FileNotFoundError(f"There is no configuration {missing}{hint}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{filename} is no YAML of plain values: {' '.join(str(error).split())}") from error
    if not isinstance(keys, dict):
        raise ValueError(f"{filename} holds no configuration keys; expected YAML such as 'SEED: 0'.")
    return keys


def merge_from_file(cfg: CfgNode, cfg_filename: str, allow_unsafe: bool = False) -> None:
    """Replaces ``CfgNode.merge_from_file``, whose errors do not name the file."""
    _merge(cfg, leaves(load_yaml_with_base(cfg_filename)), f"{cfg_filename}: ")


def merge_from_other_cfg(cfg: CfgNode, cfg_other: CfgNode) -> None:
    """Replaces ``CfgNode.merge_from_other_cfg``, which reads a text that is a Python literal as its value."""
    _merge(cfg, leaves(cfg_other))


def merge_from_list(cfg: CfgNode, cfg_list: list[Any]) -> None:
    """Replaces ``CfgNode.merge_from_list``, for the same reason."""
    if len(cfg_list) % 2:
        raise ValueError(f"Keys and values do not pair up: {cfg_list[-1]} is left over; expected KEY VALUE ...")
    _merge(cfg, zip(map(str, cfg_list[::2]), cfg_list[1::2], strict=True))


def _merge(cfg: CfgNode, pairs: Iterable[tuple[str, Any]], where: str = "") -> None:
    """Sets keys in place, by yacs.

    Raises:
        ValueError: unknown keys, all of them with the nearest that there are; a value of another type.
    """
    given, known = list(pairs), dict(leaves(cfg))
    unknown = [_unknown(key, known) for key, _ in given if key not in known]
    if unknown:
        raise ValueError("\n".join(f"{where}{message}" for message in unknown))
    try:
        _merge_from_list(cfg, [part for key, value in given for part in (key, _as_yacs_reads(value, known[key]))])
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    # A right last word in a wrong group is nearer than a comparison of letters shows.
    last = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.5)
    hint = f"the nearest is {' or '.join(near[:3])}" if near else "docs/configuration.md lists the plugin's"
    return f"{key} is no configuration key; {hint}. A module of your own that adds it is imported with --import."


def _as_yacs_reads(value: Any, default: Any) -> Any:
    """What yacs makes the wanted value of: it takes text for Python, and no whole number where others are wanted."""
    try:
        read = literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        read = value
    if isinstance(default, str) and isinstance(value, str) and not isinstance(read, str):
        return repr(value)
    if isinstance(default, float) and type(read) is int:
        return float(read)
    return copy.deepcopy(value)
