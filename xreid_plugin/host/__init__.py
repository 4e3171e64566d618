"""The only modules that know how old the host is: what is fixed in fast-reid 1.4.0, why, and when a fix can go.

``import xreid_plugin`` runs :func:`patch`. The host's files are never edited: names in its modules are bound to the
replacements in these modules, for this process. Each replacement's docstring says what it replaces and why; a patch can
go once the host is released without that fault, which :func:`check_version` would notice.
"""

# isort: off
# First: the modules below import the host as if it were up to date.
from xreid_plugin.host.imported import check_version

from xreid_plugin.host.checkpoints import Checkpointer
from xreid_plugin.host.loaders import WORKER_DIED, DeviceLoader, default_workers
from xreid_plugin.host.training import build_model, compress_gradients, distributed, resolve_device, set_local_group
from xreid_plugin.host.patches import patch
# isort: on

__all__ = [
    "WORKER_DIED",
    "Checkpointer",
    "DeviceLoader",
    "build_model",
    "check_version",
    "compress_gradients",
    "default_workers",
    "distributed",
    "patch",
    "resolve_device",
    "set_local_group",
]
