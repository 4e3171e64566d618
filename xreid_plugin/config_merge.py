"""Fitting what files and command lines say to the keys there are: every unknown key and every wrong type is named.

The host's CfgNode stops at the first fault and names neither file nor remedy. Its merging goes through here instead
(see :mod:`xreid_plugin.host`).
"""

import copy
import difflib
import math
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from xreid_plugin.config_files import BASE_KEY, ConfigError, read_chain

_NAMES_SHOWN = 3
_LONGEST_QUOTE = 80
_PLAIN = (tuple, list, str, int, float, bool, type(None))


def fitted_files(cfg: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The nested keys of a YAML file and of those it builds on, the lowest first, decoded and in the types of ``cfg``.

    Raises:
        OSError: a file is not there or cannot be opened.
        ConfigError: a file is malformed, or has keys that ``cfg`` does not have, each named with the nearest one of
            ``cfg``, or values of another type; all of them at once.
    """
    found, faults = [], []
    for file in read_chain(path):

        def place(key: str, lines: Mapping[str, int] = file.lines, name: Path = file.path) -> str:
            return f"{name}, line {lines[key]}: " if key in lines else f"{name}: "

        try:
            found.append(_fitted(cfg, file.keys, place))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def fitted_keys(cfg: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Nested keys that come from no file, decoded and in the types of ``cfg``.

    Raises:
        ConfigError: unknown keys, and values of another type; all of them at once.
    """
    return _fitted(cfg, keys, lambda _: "")


def fitted_pairs(cfg: Mapping[str, Any], pairs: Sequence[Any]) -> list[tuple[str, Any]]:
    """KEY VALUE ... of a command line, decoded and converted to the types of ``cfg``.

    Raises:
        ConfigError: a key without a value, unknown keys, and values of another type; all of them at once.
    """
    if len(pairs) % 2:
        raise ConfigError(
            f"The command line's keys and values do not pair up: '{pairs[-1]}' is left over. Expected KEY VALUE ..., "
            "such as SOLVER.MAX_EPOCH 10."
        )
    known = dict(leaves(cfg))
    faults: list[str] = []
    result: list[tuple[str, Any]] = []
    for key, value in zip(map(str, pairs[::2]), pairs[1::2], strict=True):
        if key not in known:
            faults.append(_unknown(cfg, key, known))
            continue
        decoded = _decoded(value)
        # A name or a path may look like a number.
        if isinstance(known[key], str) and not isinstance(decoded, str):
            decoded = value
        try:
            result.append((key, _converted(key, decoded, known[key])))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return result


def put(cfg: MutableMapping[str, Any], keys: Mapping[str, Any]) -> None:
    """Sets nested keys that have been fitted, in place."""
    for name, value in keys.items():
        if isinstance(value, Mapping):
            put(cfg[name], value)
        else:
            cfg[name] = copy.deepcopy(value)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a node that holds a value and no further keys, by its full dotted name, with its value."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name most like ``name``, whatever its case; None where nothing is."""
    by_lower = {entry.lower(): entry for entry in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def quoted(value: Any) -> str:
    """A value as a message shows it: as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _fitted(cfg: Mapping[str, Any], keys: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    faults: list[str] = []
    known = dict(leaves(cfg))

    def fit(group: Mapping[str, Any], given: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in given.items():
            key = f"{prefix}{name}"
            try:
                if name not in group:
                    raise ConfigError(_unknown(cfg, key, known))
                default = group[name]
                if isinstance(default, Mapping) and isinstance(value, Mapping):
                    result[name] = fit(default, value, f"{key}.")
                elif isinstance(default, Mapping):
                    raise ConfigError(
                        f"{key} is {quoted(value)}; expected a group of keys, such as {key}.{next(iter(default))}."
                    )
                else:
                    result[name] = _converted(key, _decoded(value), default)
            except ConfigError as error:
                faults.append(f"{place(key)}{error}")
        return result

    found = fit(cfg, keys, "")
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _unknown(cfg: Mapping[str, Any], key: str, known: Mapping[str, Any]) -> str:
    if key == BASE_KEY:
        return f"{BASE_KEY} stands in files alone; give its file as the configuration, or an own one that builds on it."
    group: Any = cfg
    for part in key.split("."):
        group = group.get(part) if isinstance(group, Mapping) else None
    if isinstance(group, Mapping):
        return f"{key} is a group of keys; set one of its keys, such as {key}.{next(iter(group))}."
    # A right last word in a wrong group is nearer than letters can tell.
    last = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == last][:_NAMES_SHOWN]
    if not near:
        found = nearest(key, [*known, *{name.rpartition(".")[0] for name in known}])
        near = [found] if found else []
    return f"{key} is no configuration key" + (
        f"; the nearest is {' or '.join(near)}." if near else "; xreid_plugin/config.py explains those of the plugin."
    )


def _decoded(value: Any) -> Any:
    """As the host: text that is a Python literal stands for its value."""
    if not isinstance(value, str):
        return value
    try:
        return literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _converted(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, tuple | list) and isinstance(value, tuple | list):
        value = type(default)(value)
    if default is not None and type(value) is not type(default):
        raise ConfigError(
            f"{key} is {quoted(value)}, {_type_name(value)}; "
            f"expected {_type_name(default)}, such as {_example(default)}."
        )
    if isinstance(value, float) and math.isnan(value):
        raise ConfigError(f"{key} is NaN; expected a number, such as {default!r}.")
    odd = next((entry for entry in _entries(value) if type(entry) not in _PLAIN), None)
    if odd is not None:
        raise ConfigError(f"{key} holds {quoted(odd)}, {_type_name(odd)}; expected plain values in it.")
    return value


def _entries(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value


def _type_name(value: Any) -> str:
    names = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    names |= {tuple: "a list", list: "a list", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _example(default: Any) -> str:
    return "[a, b]" if isinstance(default, tuple | list) and not default else repr(default)
