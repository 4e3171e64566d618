import os
import pickle
import shutil
import signal
import subprocess
import sys

import lmdb
import numpy as np
import pytest

from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_reader import FrameError, LooseFrames
from xreid_plugin.data.pack import Pack, PackedFrames, pack_tracklets, verify_pack

# Not that of the files, which are 16x8: decoded frames are resized ones.
SIZE = (12, 6)
KINDS = pytest.mark.parametrize("packed_size", [None, SIZE], ids=["files", "frames"])
BAD = "Test/0504/ir/D12/30.jpg"


def pack(dataset, file, size=None):
    tracklets = [*dataset.train, *dataset.test]
    return pack_tracklets(tracklets, dataset.home, type(dataset).__name__, file, size=size, workers=2)


def read_set(tmp_path):
    return HITSZVCM(small_vcm(tmp_path / "HITSZ-VCM").write(), min_length=1)


def pack_set(tmp_path, size):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    assert pack(dataset, file, size)
    return dataset, file


def loose(tracklet, size=SIZE):
    return LooseFrames().read(tracklet, range(len(tracklet.paths)), size)


def damage(file, name):
    """Flips a bit of one frame."""
    with lmdb.open(str(file), subdir=False, lock=False) as environment, environment.begin(write=True) as transaction:
        value = bytearray(transaction.get(name.encode()))
        value[len(value) // 2] ^= 1
        transaction.put(name.encode(), bytes(value))


@KINDS
@pytest.mark.parametrize("kind", [HITSZVCM, BUPTCampus])
def test_a_pack_and_the_lists_can_move_to_a_machine_without_the_files(tmp_path, packed_size, kind):
    home = (small_vcm if kind is HITSZVCM else small_bupt)(tmp_path / "copy").write()
    dataset = kind(home)
    pack(dataset, tmp_path / "set.pack", packed_size)
    expected = [loose(tracklet) for tracklet in dataset.train]
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(home, elsewhere, ignore=shutil.ignore_patterns("Train", "Test", "DATA"))
    moved = shutil.copy(tmp_path / "set.pack", elsewhere / "moved.pack")
    with pytest.raises(FileNotFoundError):
        kind(elsewhere)
    packed = pickle.loads(pickle.dumps(Pack(moved)))
    parsed = kind(elsewhere, packed=packed)
    reader = PackedFrames(packed, parsed.home)
    with pytest.raises(FrameError, match="stranger"):
        reader.read(parsed.train[0]._replace(paths=["9.jpg"], name="stranger"), [0], SIZE)
    assert [tracklet.name for tracklet in parsed.train] == [tracklet.name for tracklet in dataset.train]
    for tracklet, pixels in zip(parsed.train, expected, strict=True):
        order = np.array([1, 0, 1, len(pixels) - 1])
        clip = reader.read(tracklet, order, SIZE)
        assert (clip.dtype, clip.flags.c_contiguous, clip.flags.writeable) == (np.uint8, True, True)
        assert np.array_equal(clip, pixels[order])


def test_a_file_that_was_cut_off_or_is_no_pack_is_refused_and_does_not_kill_the_process(tmp_path):
    _, file = pack_set(tmp_path, SIZE)
    whole = file.read_bytes()
    for content in (whole[:-1], whole[: 2 * 4096], whole[:100], b"", b"no database" * 2000):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"set\.pack"):
            Pack(file)
    file.unlink()
    with lmdb.open(str(file), subdir=False, lock=False) as other, other.begin(write=True) as transaction:
        transaction.put(b"some", b"thing")
    with pytest.raises(ValueError, match=r"set\.pack"):
        Pack(file)
    with pytest.raises(FileNotFoundError, match=r"x\.pack"):
        Pack(tmp_path / "x.pack")


@KINDS
def test_verifying_names_changed_files_and_frames_that_are_gone_but_no_copy(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    os.utime(dataset.home / BAD, ns=(0, 0))  # a copy: the same content at another time
    assert verify_pack(Pack(file), dataset.home) == []
    (dataset.home / BAD).write_bytes(b"another")
    [problem] = verify_pack(Pack(file), dataset.home)
    assert BAD in problem
    with lmdb.open(str(file), subdir=False, lock=False) as environment, environment.begin(write=True) as transaction:
        assert transaction.delete(BAD.encode())
    [problem] = verify_pack(Pack(file), dataset.home)
    assert "95" in problem


@KINDS
def test_a_frame_that_is_no_picture_is_named_and_stops_packing(tmp_path, packed_size):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    (dataset.home / BAD).write_bytes(b"no picture")
    with pytest.raises(FrameError, match="test00003_0504M1D12") as error:
        pack(dataset, file, packed_size)
    assert str(dataset.home / BAD) in str(error.value)
    assert not file.exists()


def test_the_same_pack_is_made_once_and_another_refused(tmp_path):
    dataset, file = pack_set(tmp_path, None)
    before = file.stat().st_mtime_ns
    assert not pack(dataset, file)
    for other, size in ((dataset.train, None), ([*dataset.train, *dataset.test], SIZE)):
        with pytest.raises(ValueError, match=r"set\.pack"):
            pack_tracklets(other, dataset.home, "HITSZVCM", file, size=size)
    assert file.stat().st_mtime_ns == before


# Packs with small batches in a process of its own: root, output.
PACK_IN_BATCHES = """
import sys
from pathlib import Path
import xreid_plugin
from xreid_plugin.data import pack
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
pack._BATCH = 2
dataset = HITSZVCM(sys.argv[1], min_length=1)
pack.pack_tracklets([*dataset.train, *dataset.test], dataset.home, "HITSZVCM", Path(sys.argv[2]), workers=1)
"""


@pytest.mark.slow
def test_packing_that_was_killed_goes_on_and_another_kind_is_refused_in_its_place(small_set, tmp_path):
    file, part = tmp_path / "set.pack", tmp_path / "set.pack.part"
    command = [sys.executable, "-c", PACK_IN_BATCHES, str(small_set), str(file)]
    with subprocess.Popen(command) as packing:
        while packing.poll() is None and not (part.exists() and part.stat().st_size > 200_000):
            pass
        packing.kill()
    assert packing.returncode == -signal.SIGKILL
    assert not file.exists()
    dataset = HITSZVCM(small_set, min_length=1)
    with pytest.raises(ValueError, match=r"set\.pack\.part"):
        pack(dataset, file, SIZE)
    assert pack(dataset, file)
    assert verify_pack(Pack(file), dataset.home) == []
    assert list(tmp_path.iterdir()) == [file]
