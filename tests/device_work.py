"""What makes the host wait for a device, counted where there is none: on torch's meta device, or on the CPU."""

import traceback
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal.default", "is_nonzero")


class DeviceWork(TorchDispatchMode):
    """Notes every operation for whose result or input the host would have to wait on a GPU.

    These are readings of values, results whose size depends on values, and operations on tensors of two devices, copies
    among them. A number on the CPU may be an operand on a GPU, as its value travels with the call.

    Attributes:
        waits: by operation, the file of ours or of the host's that called it last.
    """

    def __init__(self, device):
        super().__init__()
        self.device = device
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # In inference mode operations come as they were called: item and to, not the reading and the copy they are.
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        name = str(func)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_device = [tensor for tensor in tensors if tensor.device.type == self.device]
        masked = "index" in name and any(tensor.dtype == torch.bool for tensor in on_device[1:])
        reads = on_device and (masked or any(read in name for read in _READS))
        copies = "copy" in name
        devices = {tensor.device.type for tensor in tensors if tensor.ndim or copies}
        if copies and "device" in kwargs:
            devices.add(torch.device(kwargs["device"]).type)
        if reads or (len(devices) > 1 and not kwargs.get("non_blocking")):
            self.waits.append(f"{name} in {_caller()}")
        return func(*args, **kwargs)


def _caller():
    files = [frame.filename for frame in traceback.extract_stack()]
    known = [name for name in files if "xreid_plugin/" in name or "fastreid/" in name]
    return known[-1] if known else files[-1]


@pytest.fixture
def no_autocast(monkeypatch):
    """The meta device has no autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
