import multiprocessing
import pickle
import shutil

import numpy as np
import pytest

from tests.data.datasets.trees import small_bupt
from tests.data.pack.packs import KINDS, SIZE, damage, loose, pack_set
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.pack import store
from xreid_plugin.data.pack.reader import PackedFrames
from xreid_plugin.data.pack.store import open_pack
from xreid_plugin.data.pack.writer import pack_dataset


@KINDS
def test_pixels_are_those_of_the_files(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    reader = PackedFrames(file, dataset.home)
    for tracklet in [*dataset.train, *dataset.test]:
        clip = reader.read(tracklet, range(len(tracklet.paths)), SIZE)
        assert (clip.dtype, clip.flags.c_contiguous, clip.flags.writeable) == (np.uint8, True, True)
        assert np.array_equal(clip, loose(tracklet))


@KINDS
def test_frames_come_in_the_order_asked_for_and_as_often(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    tracklet, order = dataset.train[0], np.array([5, 0, 5, 11, 0])
    clip = PackedFrames(file, dataset.home).read(tracklet, order, SIZE)
    assert np.array_equal(clip, loose(tracklet)[order])
    clip[0] = 0
    assert np.array_equal(clip[2], loose(tracklet)[5])


@KINDS
def test_a_repeated_frame_is_read_once(tmp_path, packed_size, monkeypatch):
    dataset, file = pack_set(tmp_path, packed_size)
    asked, unseal = [], store.unseal
    monkeypatch.setattr(store, "unseal", lambda key, value: asked.append(key.decode()) or unseal(key, value))
    tracklet = dataset.train[0]
    PackedFrames(file, dataset.home).read(tracklet, [5, 0, 5, 11, 0, 5], SIZE)
    assert asked == [tracklet.paths[index].removeprefix(f"{dataset.home}/") for index in (5, 0, 11)]


def test_packed_files_serve_any_size_and_decoded_frames_their_own(tmp_path):
    dataset, file = pack_set(tmp_path, None)
    tracklet = dataset.train[0]
    for size in ((16, 8), (5, 9), (3, 2)):
        clip = PackedFrames(file, dataset.home).read(tracklet, range(12), size)
        assert np.array_equal(clip, loose(tracklet, size))

    decoded = tmp_path / "decoded.pack"
    pack_dataset(dataset, decoded, SIZE)
    with pytest.raises(FrameError, match=r"decoded\.pack, whose frames are decoded at 12x6 .*INPUT.*asks for 16x8"):
        PackedFrames(decoded, dataset.home).read(tracklet, [0], (16, 8))


@KINDS
@pytest.mark.parametrize("layout", ["vcm", "bupt"])
def test_the_files_may_be_gone(tmp_path, packed_size, layout):
    if layout == "vcm":
        dataset, file = pack_set(tmp_path, packed_size)
        folders, again = ("Train", "Test"), HITSZVCM
    else:
        dataset, file = BUPTCampus(small_bupt(tmp_path / "BUPTCampus").write()), tmp_path / "set.pack"
        pack_dataset(dataset, file, packed_size)
        folders, again = ("DATA",), BUPTCampus
    expected = [loose(tracklet) for tracklet in dataset.train]
    for folder in folders:
        shutil.rmtree(dataset.home / folder)
    with pytest.raises(FileNotFoundError):
        again(dataset.home)
    parsed = again(dataset.home, packed=open_pack(file))
    assert parsed.train == dataset.train
    reader = PackedFrames(file, parsed.home)
    for tracklet, pixels in zip(parsed.train, expected, strict=True):
        assert np.array_equal(reader.read(tracklet, range(len(tracklet.paths)), SIZE), pixels)


def test_a_pack_of_other_lists_is_refused_before_any_frame_is_read(tmp_path):
    class Nothing:
        def __contains__(self, name):
            return False

    dataset, _ = pack_set(tmp_path, None)
    with pytest.raises(FileNotFoundError, match=r"DATASETS\.PACK names a pack of other lists"):
        HITSZVCM(dataset.home, packed=Nothing())


@KINDS
def test_a_pack_can_be_moved_to_another_machine(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    expected = loose(dataset.train[1])
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(dataset.home / "info", elsewhere / "VCM" / "info")
    shutil.copy(file, elsewhere / "moved.pack")
    moved = elsewhere / "moved.pack"
    parsed = HITSZVCM(elsewhere / "VCM", packed=open_pack(moved))
    assert np.array_equal(PackedFrames(moved, parsed.home).read(parsed.train[1], range(12), SIZE), expected)


@KINDS
def test_a_damaged_frame_is_named_with_tracklet_and_pack(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    tracklet = dataset.train[1]
    path = tracklet.paths[3]
    damage(file, path.removeprefix(f"{dataset.home}/"))
    reader = PackedFrames(file, dataset.home)
    with pytest.raises(FrameError, match=r"checksum.*tools/pack_dataset\.py") as error:
        reader.read(tracklet, [2, 3], SIZE)
    for part in (path, tracklet.name, str(file)):
        assert part in str(error.value)
    assert np.array_equal(reader.read(tracklet, [2, 4], SIZE), loose(tracklet)[[2, 4]])


@KINDS
def test_a_frame_that_was_not_packed_is_named_with_tracklet_and_pack(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    stranger = dataset.train[0]._replace(paths=[f"{dataset.home}/Train/9999/rgb/D1/1.jpg"], name="stranger")
    with pytest.raises(FrameError, match="stranger is not in the pack") as error:
        PackedFrames(file, dataset.home).read(stranger, [0], SIZE)
    assert "9999/rgb/D1/1.jpg" in str(error.value)
    assert str(file) in str(error.value)


def test_spawned_processes_get_a_pickled_reader(tmp_path):
    dataset, file = pack_set(tmp_path, None)
    decoded = tmp_path / "decoded.pack"
    pack_dataset(dataset, decoded, SIZE)
    readers = [PackedFrames(file, dataset.home), PackedFrames(decoded, dataset.home)]
    for reader in readers:
        reader.read(dataset.train[0], [0], SIZE)
        assert len(pickle.dumps(reader)) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for reader in readers:
            clips = pool.starmap(reader.read, [(tracklet, range(12), SIZE) for tracklet in dataset.train])
            for tracklet, clip in zip(dataset.train, clips, strict=True):
                assert np.array_equal(clip, loose(tracklet))


@KINDS
def test_forked_processes_open_the_pack_for_themselves(tmp_path, packed_size):
    dataset, file = pack_set(tmp_path, packed_size)
    first, second = PackedFrames(file, dataset.home), PackedFrames(file, dataset.home)
    first.read(dataset.train[0], [0], SIZE)
    parents = first.pack._open()

    def child(connection):
        clips = [reader.read(tracklet, range(12), SIZE) for reader in (first, second) for tracklet in dataset.train]
        connection.send((clips, first.pack._open() is parents, second.pack._open() is first.pack._open()))

    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sending,))
    process.start()
    clips, inherited, shared = receiving.recv()
    process.join()
    assert (process.exitcode, inherited, shared) == (0, False, True)
    for tracklet, clip in zip(dataset.train * 2, clips, strict=True):
        assert np.array_equal(clip, loose(tracklet))
    assert np.array_equal(first.read(dataset.train[0], range(12), SIZE), loose(dataset.train[0]))
