import contextlib
import fcntl
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import numpy as np
import pytest

from tests.data.datasets.trees import small_vcm
from tests.data.pack.packs import KINDS, SIZE, loose, pack_set, read_set
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.pack import writer
from xreid_plugin.data.pack.format import PackError
from xreid_plugin.data.pack.reader import PackedFrames
from xreid_plugin.data.pack.store import open_pack, part_of
from xreid_plugin.data.pack.verify import verify_pack
from xreid_plugin.data.pack.writer import pack_dataset

# Packs with small batches in a process of its own: root, output.
PACK_IN_BATCHES = """
import sys
from pathlib import Path
import xreid_plugin
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.pack import writer
writer.BATCH = 20
read = writer.read_picture_file
# The packer itself waits for no pipe; here it does, so that the test knows where it is.
writer.read_picture_file = lambda path, home: Path(path).read_bytes() if Path(path).is_fifo() else read(path, home)
try:
    writer.pack_dataset(HITSZVCM(sys.argv[1], min_length=1), Path(sys.argv[2]), workers=2)
except writer.PackError as error:
    print(error)
"""

# The head of a PNG of 100,000 x 100,000 pixels.
HUGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 10**5, 10**5, 8, 2, 0, 0, 0)


def start_packing(home, output, **options):
    command = [sys.executable, "-c", PACK_IN_BATCHES, str(home), str(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def entries(file):
    with lmdb.open(str(file), subdir=False, readonly=True, lock=False) as environment:
        return environment.stat()["entries"]


def test_packing_killed_in_the_middle_loses_its_batch_alone_and_goes_on(tmp_path):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    paths = [path for tracklet in [*dataset.train, *dataset.test] for path in tracklet.paths]
    expected = [loose(tracklet) for tracklet in dataset.train]
    # A pipe in place of a frame: who opens it waits for the other side, and so the test knows where the packer is.
    stop = dataset.home / "stop"
    Path(paths[50]).rename(stop)
    os.mkfifo(paths[50])
    packing = start_packing(dataset.home, file)
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(os.open, paths[50], os.O_WRONLY)
        try:
            descriptor = opened.result(timeout=120)
        finally:
            packing.send_signal(signal.SIGKILL)
            packing.communicate()
            if not opened.done():
                os.close(os.open(paths[50], os.O_RDONLY | os.O_NONBLOCK))
    os.close(descriptor)

    assert packing.returncode == -signal.SIGKILL
    assert not file.exists()
    with pytest.raises(FileNotFoundError, match="packing was cut off"):
        open_pack(file)
    assert entries(part_of(file)) == 1 + 40  # its record, and two batches of 20

    stop.replace(paths[50])
    # What is packed is not read again: without the first frames it could not be.
    for path in paths[:40]:
        Path(path).unlink()
    assert pack_dataset(dataset, file)
    assert not part_of(file).exists()
    assert verify_pack(file) == (96, [])
    reader = PackedFrames(file, dataset.home)
    for tracklet, pixels in zip(dataset.train, expected, strict=True):
        assert np.array_equal(reader.read(tracklet, range(12), SIZE), pixels)


def test_a_disk_that_fills_up_is_one_message_and_no_pack(tmp_path):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    limit = 100_000

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    message, _ = start_packing(dataset.home, file, preexec_fn=limit_files).communicate()
    assert f"{part_of(file)} cannot be written: " in message
    assert "the same command goes on where it stopped" in message
    assert not file.exists()
    assert pack_dataset(dataset, file)
    assert verify_pack(file) == (96, [])


@KINDS
def test_space_is_looked_at_first(tmp_path, packed_size, monkeypatch):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    monkeypatch.setattr(writer.shutil, "disk_usage", lambda _: writer.shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(PackError, match=r"set\.pack\.part needs [\d,]{7} bytes more .* has 1,000 free") as error:
        pack_dataset(dataset, file, packed_size)
    monkeypatch.undo()
    assert not file.exists()
    assert pack_dataset(dataset, file, packed_size)
    needed = int(str(error.value).split("needs ")[1].split(" bytes")[0].replace(",", ""))
    # The record and LMDB's own pages are in the file as well.
    assert needed + 6 * 4096 >= file.stat().st_size


@pytest.mark.parametrize("content", [None, b"", b"no picture", HUGE], ids=["missing", "empty", "no picture", "huge"])
@KINDS
def test_a_frame_that_cannot_be_read_is_named_and_stops_packing(tmp_path, packed_size, content):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    path = dataset.home / "Test/0504/ir/D12/30.jpg"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FrameError, match="tracklet test00003_0504M1D12") as error:
        pack_dataset(dataset, file, packed_size)
    assert str(path) in str(error.value)
    assert not file.exists()


@KINDS
def test_a_frame_that_leads_out_of_the_dataset_is_not_packed(tmp_path, packed_size):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    path = dataset.home / "Test/0504/ir/D12/30.jpg"
    path.rename(tmp_path / "elsewhere.jpg")
    path.symlink_to(tmp_path / "elsewhere.jpg")
    refusal = f"{path} of tracklet test00003_0504M1D12 is refused: it is a link to {tmp_path}/elsewhere.jpg, outside"
    with pytest.raises(FrameError, match=refusal):
        pack_dataset(dataset, file, packed_size)
    assert not file.exists()


def test_a_pipe_in_place_of_a_frame_is_not_waited_for(tmp_path):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    path = dataset.home / "Test/0504/ir/D12/30.jpg"
    path.unlink()
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        packing = pool.submit(pack_dataset, dataset, file)
        try:
            error = packing.exception(timeout=30)
        finally:
            # Whoever waits for the pipe's other side waits no longer; nobody does where packing has ended.
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    assert isinstance(error, FrameError)
    assert f"{path} of tracklet test00003_0504M1D12 is not usable: it is no file" in str(error)


def test_the_same_pack_is_made_once_and_another_refused(tmp_path):
    dataset, file = pack_set(tmp_path, None)
    before = file.stat().st_mtime_ns
    assert not pack_dataset(dataset, file)
    with pytest.raises(PackError, match=r"set\.pack holds 96 .* as files, and not 96 .* decoded at 12x6 .*: remove it"):
        pack_dataset(dataset, file, SIZE)
    (dataset.home / "info/test_name.txt").write_text(
        (dataset.home / "info/test_name.txt").read_text().replace("F1.jpg", "F99.jpg")
    )
    with pytest.raises(PackError, match=r"holds 96 frames of HITSZVCM, as files, of other names: remove it"):
        pack_dataset(HITSZVCM(dataset.home, min_length=1), file)
    assert file.stat().st_mtime_ns == before


def test_an_unfinished_pack_of_another_kind_is_refused(tmp_path):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    path = dataset.home / "Test/0504/ir/D12/30.jpg"
    content = path.read_bytes()
    path.write_bytes(b"no picture")
    with pytest.raises(FrameError):
        pack_dataset(dataset, file)
    path.write_bytes(content)
    with pytest.raises(PackError, match=r"set\.pack\.part holds 96 .* as files, and not 96 .* decoded at 12x6"):
        pack_dataset(dataset, file, SIZE)
    assert pack_dataset(dataset, file)


@pytest.mark.parametrize("content", [b"something else" * 1000, b"x"])
def test_a_file_where_the_unfinished_pack_would_be_is_left_alone(tmp_path, content):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    part_of(file).write_bytes(content)
    with pytest.raises(PackError, match=r"set\.pack\.part is no unfinished pack .*: remove it"):
        pack_dataset(dataset, file)
    assert part_of(file).read_bytes() == content


def test_two_cannot_pack_to_one_place(tmp_path):
    dataset, file = read_set(tmp_path), tmp_path / "set.pack"
    with part_of(file).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PackError, match="being written by another process"):
            pack_dataset(dataset, file)
    assert pack_dataset(dataset, file)


def test_a_frame_in_two_tracklets_is_packed_once(tmp_path):
    tree, file = small_vcm(tmp_path / "HITSZ-VCM"), tmp_path / "set.pack"
    tree.tracks["train"].append(tree.tracks["train"][0])
    dataset = HITSZVCM(tree.write())
    assert len(dataset.train) == 5
    assert pack_dataset(dataset, file)
    assert open_pack(file).info.count == 96


def test_no_thread_outlives_packing(tmp_path):
    before = threading.active_count()
    pack_set(tmp_path, None)
    assert threading.active_count() == before
