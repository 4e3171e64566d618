"""What is wrong with a configuration, all found at once and before any data is read."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.config_files import ConfigError
from xreid_plugin.engine.config_contradictions import OF_ANY_JOB, OF_TRAINING, tower_faults
from xreid_plugin.engine.config_lists import list_faults
from xreid_plugin.engine.config_values import Fault, name_faults, range_faults
from xreid_plugin.engine.unused_keys import unused_key_faults

OF_SINGLE_KEYS = (range_faults, name_faults, list_faults, tower_faults)
# Groups of keys that an evaluation does not read, but for the number type.
_TRAINING_GROUPS = ("SOLVER.", "DATALOADER.SAMPLER_TRAIN", "DATALOADER.NUM_INSTANCE")


def check_config(cfg: CfgNode, training: bool = True) -> None:
    """Finds what is wrong before any data is read.

    Args:
        cfg: merged.
        training: False for an evaluation, which what training alone reads does not concern.

    Raises:
        ConfigError: a line for each fault, with the key and a value that works.
    """
    faults = config_faults(cfg, training)
    if faults:
        raise ConfigError("\n".join(map(str, faults)))


def config_faults(cfg: CfgNode, training: bool = True, in_doubt: frozenset[str] = frozenset()) -> list[Fault]:
    """Every key that cannot stay as it is, and every contradiction between keys that are right by themselves.

    Args:
        cfg: merged.
        training: see :func:`check_config`.
        in_doubt: keys whose values were given, but could not be read; nothing is said of them.
    """
    alone = [fault for check in OF_SINGLE_KEYS for fault in check(cfg)]
    alone = [fault for fault in alone if (training or _concerns_evaluation(fault.key)) and fault.key not in in_doubt]
    mended = cfg.clone()
    mended.defrost()
    for fault in alone:
        *groups, name = fault.key.split(".")
        reduce(getattr, groups, mended)[name] = fault.works
    doubtful = in_doubt | {fault.key for fault in alone}
    return alone + list(_contradictions(mended, training, doubtful))


def _contradictions(cfg: CfgNode, training: bool, doubtful: frozenset[str]) -> Iterator[Fault]:
    """Those that do not follow from a doubtful key, of which it is not known yet what it will be."""
    for check in (*OF_ANY_JOB, unused_key_faults, *(OF_TRAINING if training else ())):
        watched = _Watched(cfg, set())
        yield from (fault for fault in check(watched) if not doubtful & watched.keys_read)


class _Watched:
    """A configuration that notes which keys are read."""

    def __init__(self, node: CfgNode, keys_read: set[str], prefix: str = "") -> None:
        self._node = node
        self._prefix = prefix
        self.keys_read = keys_read

    def __getitem__(self, name: str) -> Any:
        value, key = self._node[name], f"{self._prefix}{name}"
        if isinstance(value, CfgNode):
            return _Watched(value, self.keys_read, f"{key}.")
        self.keys_read.add(key)
        return value

    __getattr__ = __getitem__


def _concerns_evaluation(key: str) -> bool:
    return key.startswith("SOLVER.AMP.") or not key.startswith(_TRAINING_GROUPS)
