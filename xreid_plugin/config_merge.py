"""Fitting what files and command lines say to the keys that exist: every unknown key and every wrong type is named.

The host's CfgNode stops at the first fault and names neither file nor remedy. Its merging goes through here instead
(see :mod:`xreid_plugin.host`).
"""

import copy
import difflib
import math
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xreid_plugin.config_files import BASE_KEY, ConfigError, read_chain

_NAMES_SHOWN = 3
_LONGEST_QUOTE = 80
_PLAIN = (tuple, list, str, int, float, bool, type(None))


class Misfit(NamedTuple):
    """A key that does not fit.

    Attributes:
        message: what is wrong, and the remedy.
        names: full dotted names of keys, or of groups of them, that were perhaps meant.
    """

    message: str
    names: Sequence[str]


class UnfitKeysError(ConfigError):
    """Keys that do not fit; those that do fit are kept, for callers that check them as well.

    Attributes:
        fitting: nested keys that can be set, the lowest first.
        in_doubt: full dotted names of keys whose intended values are not known.
    """

    def __init__(self, misfits: Sequence[Misfit], fitting: Sequence[dict[str, Any]], known: Iterable[str]) -> None:
        """
        Args:
            misfits: the keys that do not fit, at least one.
            fitting: see the attribute.
            known: every key that exists.
        """
        super().__init__("\n".join(misfit.message for misfit in misfits))
        self.fitting = fitting
        names = {name for misfit in misfits for name in misfit.names}
        self.in_doubt = frozenset(
            key for key in known if any(key == name or key.startswith(f"{name}.") for name in names)
        )


def fitted_files(cfg: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The nested keys of a YAML file and of its bases, the lowest first, decoded and in the types of ``cfg``.

    Raises:
        OSError: a file is not there or cannot be opened.
        UnfitKeysError: keys that ``cfg`` does not have, each named with the nearest one of ``cfg``, or values of
            another type; all of them at once.
        ConfigError: a file is malformed.
    """
    found: list[dict[str, Any]] = []
    misfits: list[Misfit] = []
    for file in read_chain(path):

        def place(key: str, lines: Mapping[str, int] = file.lines, name: Path = file.path) -> str:
            return f"{name}, line {lines[key]}: " if key in lines else f"{name}: "

        found.append(_fitted(cfg, file.keys, misfits, place))
    return _unless(misfits, found, cfg)


def fitted_keys(cfg: Mapping[str, Any], keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Nested keys that come from no file, decoded and in the types of ``cfg``.

    Raises:
        UnfitKeysError: unknown keys, and values of another type; all of them at once.
    """
    misfits: list[Misfit] = []
    return _unless(misfits, [_fitted(cfg, keys, misfits, lambda _: "")], cfg)


def fitted_pairs(cfg: Mapping[str, Any], pairs: Sequence[Any]) -> list[dict[str, Any]]:
    """The KEY VALUE ... pairs of a command line, each nested, decoded and converted to the type in ``cfg``.

    Raises:
        ConfigError: a key without a value.
        UnfitKeysError: unknown keys, and values of another type; all of them at once.
    """
    if len(pairs) % 2:
        raise ConfigError(
            f"The command line's keys and values do not pair up: '{pairs[-1]}' is left over. Expected KEY VALUE ..., "
            "such as SOLVER.MAX_EPOCH 10."
        )
    known = dict(leaves(cfg))
    misfits: list[Misfit] = []
    found: list[dict[str, Any]] = []
    for key, value in zip(map(str, pairs[::2]), pairs[1::2], strict=True):
        if key not in known:
            misfits.append(_unknown(cfg, key, known))
            continue
        decoded = _decoded(value)
        # A name or a path may look like a number.
        if isinstance(known[key], str) and not isinstance(decoded, str):
            decoded = value
        try:
            found.append(_nested(key, _converted(key, decoded, known[key])))
        except ConfigError as error:
            misfits.append(Misfit(str(error), [key]))
    return _unless(misfits, found, cfg)


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
    """The known name most like ``name``, whatever its case; None where nothing is similar."""
    by_lower = {entry.lower(): entry for entry in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def quoted(value: Any) -> str:
    """A value as a message shows it: as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _unless(misfits: list[Misfit], found: list[dict[str, Any]], cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    if misfits:
        raise UnfitKeysError(misfits, found, dict(leaves(cfg)))
    return found


def _nested(key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}


def _fitted(
    cfg: Mapping[str, Any], keys: Mapping[str, Any], misfits: list[Misfit], place: Callable[[str], str]
) -> dict[str, Any]:
    """The keys that fit; the others are added to ``misfits``."""
    known = dict(leaves(cfg))

    def fit(group: Mapping[str, Any], given: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in given.items():
            key = f"{prefix}{name}"
            default = group.get(name)
            if name not in group:
                misfit = _unknown(cfg, key, known)
                # A whole group is more likely missing here than misspelt in the file.
                remedy = " If a module of yours adds it, import it with --import." if isinstance(value, Mapping) else ""
                misfits.append(Misfit(f"{place(key)}{misfit.message}{remedy}", misfit.names))
            elif isinstance(default, Mapping) and isinstance(value, Mapping):
                result[name] = fit(default, value, f"{key}.")
            elif isinstance(default, Mapping):
                expected = f"expected a group of keys, such as {key}.{next(iter(default))}."
                misfits.append(Misfit(f"{place(key)}{key} is {quoted(value)}; {expected}", [key]))
            else:
                try:
                    result[name] = _converted(key, _decoded(value), default)
                except ConfigError as error:
                    misfits.append(Misfit(f"{place(key)}{error}", [key]))
        return result

    return fit(cfg, keys, "")


def _unknown(cfg: Mapping[str, Any], key: str, known: Mapping[str, Any]) -> Misfit:
    if key == BASE_KEY:
        remedy = "give its file as the configuration, or a file of your own that builds on it."
        return Misfit(f"{BASE_KEY} stands in files alone; {remedy}", list(cfg))
    group: Any = cfg
    for part in key.split("."):
        group = group.get(part) if isinstance(group, Mapping) else None
    if isinstance(group, Mapping):
        return Misfit(f"{key} is a group of keys; set one of its keys, such as {key}.{next(iter(group))}.", [key])
    # A right last word in a wrong group is nearer than a comparison of letters shows.
    last = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == last][:_NAMES_SHOWN]
    if not near:
        found = nearest(key, [*known, *{name.rpartition(".")[0] for name in known}])
        near = [found] if found else []
    hint = f"the nearest is {' or '.join(near)}." if near else "xreid_plugin/config.py explains those of the plugin."
    return Misfit(f"{key} is no configuration key; {hint}", near)


def _decoded(value: Any) -> Any:
    """As in the host, text that is a Python literal stands for its value."""
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
