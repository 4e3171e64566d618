"""Configurations: files run no code, and all faults are reported at once."""

from pathlib import Path
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin import config_files, config_merge
from xreid_plugin.config_files import ConfigError


def load_yaml_with_base(filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
    """Replaces ``CfgNode.load_yaml_with_base``, which runs code from a file where ``allow_unsafe`` says so, fetches a
    ``_BASE_`` from the network, and never returns from one that leads back to itself.
    """
    if allow_unsafe:
        raise ConfigError(f"{filename}: allow_unsafe would run code from the file; write its values out instead.")
    return config_files.load_yaml_with_base(Path(filename))


def merge_from_file(cfg: CfgNode, cfg_filename: str, allow_unsafe: bool = False) -> None:
    """Replaces ``CfgNode.merge_from_file``, which stops at the first fault and does not say where it is."""
    if allow_unsafe:
        raise ConfigError(f"{cfg_filename}: allow_unsafe would run code from the file; write its values out instead.")
    for keys in config_merge.fitted_files(cfg, Path(cfg_filename)):
        config_merge.put(cfg, keys)


def merge_from_other_cfg(cfg: CfgNode, cfg_other: CfgNode) -> None:
    """Replaces ``CfgNode.merge_from_other_cfg``, which stops at the first unknown key and names no nearest one."""
    for keys in config_merge.fitted_keys(cfg, cfg_other):
        config_merge.put(cfg, keys)


def merge_from_list(cfg: CfgNode, cfg_list: list[Any]) -> None:
    """Replaces ``CfgNode.merge_from_list``, for the same reason."""
    for keys in config_merge.fitted_pairs(cfg, cfg_list):
        config_merge.put(cfg, keys)
