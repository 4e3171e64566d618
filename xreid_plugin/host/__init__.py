"""The only modules that know how old the host is: what is fixed in fast-reid 1.4.0, why, and when a fix can go.

``import xreid_plugin`` runs :func:`mend`. The host's files are never edited: names in its modules are bound to the
replacements in these modules, for this process. Each replacement's docstring says what it replaces and why; a fix can
go once the host is released without that fault, which :func:`check_version` would notice.
"""

# isort: off
# First: the modules below import the host as if it were up to date.
from xreid_plugin.host.imported import check_version, names_of_old

from xreid_plugin.host.checkpoints import Checkpointer
from xreid_plugin.host.devices import build_model, distributed, resolve_device
from xreid_plugin.host.loaders import DeviceLoader, default_workers
from xreid_plugin.host.mending import mend
# isort: on

__all__ = [
    "Checkpointer",
    "DeviceLoader",
    "build_model",
    "check_version",
    "default_workers",
    "distributed",
    "mend",
    "names_of_old",
    "resolve_device",
]
