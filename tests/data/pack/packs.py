"""A small copy of HITSZ-VCM and packs of it, for tests."""

import pytest

from tests.data.datasets.trees import small_vcm
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.pack.format import key_of, seal
from xreid_plugin.data.pack.store import open_pack
from xreid_plugin.data.pack.writer import pack_dataset

# Not that of the files, which are 16x8: decoded frames are resized ones.
SIZE = (12, 6)
KINDS = pytest.mark.parametrize("packed_size", [None, SIZE], ids=["files", "frames"])


def read_set(tmp_path):
    return HITSZVCM(small_vcm(tmp_path / "HITSZ-VCM").write(), min_length=1)


def pack_set(tmp_path, size):
    dataset = read_set(tmp_path)
    file = tmp_path / "set.pack"
    assert pack_dataset(dataset, file, size, workers=2)
    return dataset, file


def loose(tracklet, size=SIZE):
    return LooseFrames().read(tracklet, range(len(tracklet.paths)), size)


def damage(file, name):
    """Flips a bit of one frame, of which other frames may have the pixels but none the checksum."""
    with open_pack(file).payloads() as payload:
        value = seal(key_of(name), payload(name))
    damaged = bytearray(value)
    damaged[len(value) // 2] ^= 1
    content = file.read_bytes()
    assert value in content
    # LMDB leaves copies behind where it has moved small values.
    file.write_bytes(content.replace(value, damaged))
