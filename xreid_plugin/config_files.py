"""Reading configurations that others wrote: YAML as plain data, and never as code. Imports nothing of ours."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

BASE_KEY = "_BASE_"
# In the checkout; whoever misspells a path wants one of these.
_RECIPES = ("projects/XReID/configs", "configs/baselines")
_LARGEST_FILE = 2**20
# A few aliases of aliases can stand for more values than any memory holds.
_MOST_VALUES = 100_000


class ConfigError(ValueError):
    """A configuration that cannot be used; one line for each fault, with file, key and remedy."""


class ConfigFile(NamedTuple):
    """One YAML file, without what it builds on.

    Attributes:
        path: of the file.
        keys: nested, as written.
        lines: 1-based line by full dotted key.
    """

    path: Path
    keys: dict[str, Any]
    lines: dict[str, int]


def read_chain(path: Path) -> list[ConfigFile]:
    """Reads a YAML file and those that it builds on by ``_BASE_``, the lowest first.

    Raises:
        OSError: one of them is not there or cannot be opened.
        ConfigError: one of them is no YAML mapping of plain values, is absurdly large, or builds on itself.
    """
    chain: list[ConfigFile] = []
    seen: list[Path] = []
    below: Path | None = path
    while below is not None:
        if below.resolve() in seen:
            raise ConfigError(
                f"{below}: {BASE_KEY} leads back to a file that builds on it; remove it from one of them."
            )
        seen.append(below.resolve())
        file = read_yaml(below)
        base = file.keys.pop(BASE_KEY, None)
        chain.insert(0, file)
        below = None if base is None else _base_path(file, base)
    return chain


def read_yaml(path: Path) -> ConfigFile:
    """Reads one YAML file; tags that would make Python objects are refused.

    Raises:
        OSError: it is not there or cannot be opened.
        ConfigError: it is no mapping of keys to plain values, sets a key twice, or is absurdly large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise type(error)(f"There is no configuration file {path}: {_remedy(path)}") from error
    return ConfigFile(path, *parse_yaml(content, path))


def parse_yaml(content: bytes | str, where: Path | str) -> tuple[dict[str, Any], dict[str, int]]:
    """The keys of a YAML text and their lines, by the rules of :func:`read_yaml`.

    Args:
        content: the text.
        where: it is from; the error names it.

    Returns:
        Keys and lines as in :class:`ConfigFile`.

    Raises:
        ConfigError: see :func:`read_yaml`.
    """
    if len(content) > _LARGEST_FILE:
        raise ConfigError(f"{where} is larger than {_LARGEST_FILE:,} bytes, which no configuration is.")
    lines: dict[str, int] = {}
    try:
        loader = yaml.SafeLoader(content)
        try:
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise ConfigError(f"{where} holds no configuration keys; expected YAML such as 'SEED: 0'.")
            _refuse_explosion(node, where)
            for key, line in _lines_of(node):
                if key in lines:
                    raise ConfigError(f"{where}, line {line}: {key} is set on line {lines[key]} already; keep one.")
                lines[key] = line
            keys = loader.construct_document(node)
        finally:
            loader.dispose()
    except ConfigError:
        raise
    except yaml.constructor.ConstructorError as error:
        raise ConfigError(
            f"{where}{_place(error)}: {error.problem}; a configuration holds plain values; nothing in it is run."
        ) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{where}{_place(error)}: it is not YAML: {error.problem or error.context}.") from error
    # Besides its own errors, PyYAML lets through whatever a malformed value makes Python raise.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where} is not YAML of plain values: {_one_line(error)}.") from error
    return keys, lines


def load_yaml_with_base(path: Path) -> dict[str, Any]:
    """The nested keys of a file laid over those of what it builds on.

    Raises:
        OSError, ConfigError: see :func:`read_chain`; a group of keys that becomes a value is one as well.
    """
    merged: dict[str, Any] = {}
    for file in read_chain(path):
        _lay_over(merged, file.keys, file.path)
    return merged


def _remedy(path: Path) -> str:
    for folders in ([path.parent], map(Path, _RECIPES)):
        files = {file.name: file for folder in folders for file in folder.glob("*.y*ml")}
        if near := difflib.get_close_matches(path.name, files, n=1):
            return f"did you mean {files[near[0]]}?"
    return f"the recipes are in {' and '.join(_RECIPES)} of the checkout."


def _base_path(file: ConfigFile, base: Any) -> Path:
    if not isinstance(base, str) or not base or "://" in base or "\0" in base:
        raise ConfigError(f"{file.path}: {BASE_KEY} is {base!r}; expected the path of a file, and no address.")
    try:
        path = Path(base).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{file.path}: {BASE_KEY} is {base!r}: {_one_line(error)}.") from error
    path = file.path.parent / path
    if not path.is_file():
        raise ConfigError(f"{file.path}: {BASE_KEY} is {base!r}, but there is no file {path}.")
    return path


def _lay_over(below: dict[str, Any], above: Mapping[str, Any], path: Path, prefix: str = "") -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key, {}), dict):
            _lay_over(below.setdefault(key, {}), value, path, f"{prefix}{key}.")
        elif isinstance(value, dict) or isinstance(below.get(key), dict):
            raise ConfigError(
                f"{path}: {prefix}{key} is a group of keys in one file of the chain and a value in another."
            )
        else:
            below[key] = value


def _lines_of(node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    for key, value in node.value:
        # "<<" merges another mapping, here and there with the same keys.
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        yield f"{prefix}{key.value}", key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _lines_of(value, f"{prefix}{key.value}.")


def _refuse_explosion(root: yaml.Node, where: Path | str) -> None:
    """Counts what aliases stand for, which also ends at a node that holds itself."""
    left = _MOST_VALUES
    waiting = [root]
    while waiting:
        node = waiting.pop()
        left -= 1
        if left < 0:
            raise ConfigError(f"{where}: its aliases stand for more than {_MOST_VALUES:,} values.")
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}" if mark is not None else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
