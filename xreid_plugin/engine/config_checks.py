"""The former place of :mod:`xreid_plugin.checks`."""

from xreid_plugin.checks import check_config

__all__ = ["check_config"]
