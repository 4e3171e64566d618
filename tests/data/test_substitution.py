"""Faults of frames, by policy and by reader."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from xreid_plugin.data import clips
from xreid_plugin.data.check_frames import unreadable_frames
from xreid_plugin.data.clips import ClipRequest, TrainClips
from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import BadFrameError, FrameError
from xreid_plugin.data.pack.format import key_of, seal
from xreid_plugin.data.pack.reader import PackedFrames
from xreid_plugin.data.pack.store import open_pack
from xreid_plugin.data.pack.writer import pack_tracklets
from xreid_plugin.data.substitution import ClipFaults, UnreadableTrackletError, read_substituting
from xreid_plugin.data.tracklet import FAULTS, IMAGES, INDICES, Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SIZE = (16, 8)
LENGTH = 5


def picture(grey):
    return Image.fromarray(np.full((*SIZE, 3), grey, np.uint8))


def make_tracklet(folder, name, pid=0, suffix="jpg", first=0, length=LENGTH):
    """Frame i is of the grey 10 i + first; its file ends in 's' and its number."""
    paths = []
    for index in range(length):
        path = folder / f"{name}-{index}.{suffix}"
        picture(10 * index + first).save(path, **({"quality": 100} if suffix == "jpg" else {}))
        paths.append(str(path))
    return Tracklet(paths, pid, 1, Modality.VISIBLE, name)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def cut_after_a_preview(path):
    """The headers of a picture with a whole preview in them, without its end."""
    whole = path.read_bytes()
    preview = b"\xff\xe1" + struct.pack(">H", len(whole) + 2) + whole
    path.write_bytes(whole[:2] + preview + whole[2:-2])


def to_huge(path):
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", 10**5, 10**5, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + bytes(8) + b"IEND\xaeB`\x82")


def to_pipe(path):
    path.unlink()
    os.mkfifo(path)


def to_folder(path):
    path.unlink()
    path.mkdir()


FAULTS_OF_FILES = {
    "missing": (Path.unlink, "it is missing"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "text": (lambda path: path.write_bytes(b"no picture, but words"), "no readable picture"),
    "cut off": (cut, "cut off"),
    "all but two bytes": (lambda path: path.write_bytes(path.read_bytes()[:-2]), "cut off"),
    "head alone": (lambda path: path.write_bytes(path.read_bytes()[:20]), "cut off"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "no readable picture"),
    "huge": (to_huge, "declares 100000 x 100000 pixels"),
    "pipe": (to_pipe, "it is no file"),
    "folder": (to_folder, "it is no file"),
}
faults = pytest.mark.parametrize("fault", FAULTS_OF_FILES)


@faults
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_bad_file_is_an_error_or_is_substituted_and_the_checker_finds_it(tmp_path, fault, suffix):
    tracklet = make_tracklet(tmp_path, "T", suffix=suffix)
    inflict, words = FAULTS_OF_FILES[fault]
    inflict(Path(tracklet.paths[2]))
    with pytest.raises(BadFrameError, match=words) as error:
        LooseFrames().read(tracklet, range(LENGTH), SIZE)
    assert tracklet.paths[2] in str(error.value)
    assert "tracklet T" in str(error.value)
    assert error.value.index == 2
    found = ClipFaults()
    clip = read_substituting(LooseFrames(), tracklet, range(LENGTH), SIZE, found)
    assert greys(clip) == [0, 10, 10, 30, 40]
    assert found == ClipFaults("T", frames=[tracklet.paths[2]])
    if fault not in ("missing", "pipe", "folder"):
        [line] = unreadable_frames([tracklet], set(), workers=1)
        assert line.startswith(f"{tracklet.paths[2]}: ")


@pytest.mark.parametrize("bad", [2, 3], ids=["asked for", "a stand-in"])
def test_a_link_out_of_the_dataset_is_an_error_under_either_policy(tmp_path, bad):
    (tmp_path / "set").mkdir()
    tracklet = make_tracklet(tmp_path / "set", "T")._replace(home=str(tmp_path / "set"))
    Path(tracklet.paths[2]).write_bytes(b"")
    frame = Path(tracklet.paths[bad])
    frame.unlink()
    picture(0).save(tmp_path / "elsewhere.jpg")
    frame.symlink_to(tmp_path / "elsewhere.jpg")
    # Else it would stand in, and the fourth, which is as near, would not be looked at.
    Path(tracklet.paths[1]).write_bytes(b"")
    with pytest.raises(FrameError, match=rf"Frame {frame} of tracklet T is refused: .*{tmp_path}/elsewhere") as error:
        read_substituting(LooseFrames(), tracklet, [2], SIZE, ClipFaults())
    assert not isinstance(error.value, BadFrameError)


def greys(clip):
    return clip.reshape(len(clip), -1).mean(1).round().astype(int).tolist()


def test_a_preview_does_not_pass_for_the_end_of_a_jpeg_nor_does_a_trailer_hide_it(tmp_path):
    tracklet = make_tracklet(tmp_path, "T")
    trailed = Path(tracklet.paths[0])
    trailed.write_bytes(trailed.read_bytes() + b"a camera's notes")
    cut_after_a_preview(Path(tracklet.paths[1]))
    assert greys(LooseFrames().read(tracklet, [0], SIZE)) == [0]
    with pytest.raises(BadFrameError, match="cut off"):
        LooseFrames().read(tracklet, [1], SIZE)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1"])
def test_unusual_pictures_are_no_fault(tmp_path, mode):
    tracklet = make_tracklet(tmp_path, "T", suffix="png")
    sixteen_bits = Image.fromarray(np.full(SIZE, 255 * 257, np.uint16))
    (sixteen_bits if mode == "I;16" else picture(255).convert(mode)).save(tracklet.paths[2])
    found = ClipFaults()
    assert greys(read_substituting(LooseFrames(), tracklet, range(LENGTH), SIZE, found)) == [0, 10, 255, 30, 40]
    assert found.frames == []
    assert unreadable_frames([tracklet], set(), workers=1) == []


def pack(tmp_path, tracklet, size):
    file = tmp_path / "set.pack"
    pack_tracklets([tracklet], tmp_path, "HITSZVCM", file, size=size)
    return file, PackedFrames(file, tmp_path)


@pytest.mark.parametrize("size", [None, SIZE], ids=["files", "frames"])
@pytest.mark.parametrize("fault", ["damaged", "not packed"])
def test_a_bad_frame_of_a_pack_is_an_error_or_is_substituted(tmp_path, size, fault):
    tracklet = make_tracklet(tmp_path, "T")
    file, reader = pack(tmp_path, tracklet, size)
    if fault == "damaged":
        name = Path(tracklet.paths[2]).name
        with open_pack(file).payloads() as payload:
            value = seal(key_of(name), payload(name))
        file.write_bytes(file.read_bytes().replace(value, value[:-1] + bytes([value[-1] ^ 1])))
    else:
        tracklet = tracklet._replace(paths=[*tracklet.paths[:2], f"{tmp_path}/other.jpg", *tracklet.paths[3:]])
    with pytest.raises(BadFrameError, match="tracklet T") as error:
        reader.read(tracklet, range(LENGTH), SIZE)
    assert error.value.index == 2
    found = ClipFaults()
    assert greys(read_substituting(reader, tracklet, range(LENGTH), SIZE, found)) == [0, 10, 10, 30, 40]
    assert found.frames == [tracklet.paths[2]]


def test_a_pack_of_another_size_is_no_bad_frame(tmp_path):
    tracklet = make_tracklet(tmp_path, "T")
    _, reader = pack(tmp_path, tracklet, SIZE)
    with pytest.raises(FrameError, match="whose frames are decoded at 16x8"):
        read_substituting(reader, tracklet, [0], (4, 4), ClipFaults())


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ((0,), [1, 1, 2, 3, 4]),
        ((0, 1), [2, 2, 2, 3, 4]),
        ((4, 2), [0, 1, 1, 3, 3]),
        ((1, 2, 3), [0, 0, 0, 4, 4]),
        ((0, 1, 2, 3), [4] * 5),
    ],
)
def test_the_nearest_readable_frame_stands_in_and_the_earlier_of_two(tmp_path, bad, expected):
    tracklet = make_tracklet(tmp_path, "T")
    for index in bad:
        Path(tracklet.paths[index]).unlink()
    found = ClipFaults()
    clip = read_substituting(LooseFrames(), tracklet, range(LENGTH), SIZE, found)
    assert greys(clip) == [10 * index for index in expected]
    assert found.frames == [tracklet.paths[index] for index in sorted(bad)]
    # A frame that is not asked for is not counted.
    again = ClipFaults()
    read_substituting(LooseFrames(), tracklet, [index for index in range(LENGTH) if index not in bad], SIZE, again)
    assert again.frames == []


def unreadable(tracklet):
    for path in tracklet.paths:
        Path(path).write_bytes(b"")
    return tracklet


@pytest.fixture
def training(tmp_path):
    """Two identities; the first has three tracklets, of which the first cannot be read."""
    made = [make_tracklet(tmp_path, f"T{number}", number // 3, first=5 * number) for number in range(4)]
    unreadable(made[0])
    return made


def train_clips(tracklets, substitute=True):
    augmentation = ClipAugmentation(flip=0.5, padding=2, erase=0.5)
    return TrainClips(tracklets, SIZE, 3, augmentation, substitute=substitute)


def test_another_tracklet_of_the_identity_takes_the_place_of_an_unreadable_one(training):
    dataset, shown = train_clips(training), set()
    for seed in range(20):
        item = dataset[ClipRequest(0, seed)]
        shown.add(item[INDICES])
        # As if the sampler had asked for it.
        assert torch.equal(item[IMAGES], dataset[ClipRequest(item[INDICES], seed)][IMAGES])
        assert item[FAULTS].dropped == ["T0"]
    assert shown == {1, 2}


def test_an_identity_without_a_readable_tracklet_is_an_error_that_names_them(training):
    for tracklet in training[1:3]:
        unreadable(tracklet)
    with pytest.raises(UnreadableTrackletError, match=r"All 3 tracklets .*: T0, T[12], T[12]\. .*it is empty"):
        train_clips(training)[ClipRequest(0, 0)]


def test_without_substitution_the_first_bad_frame_is_the_error(training):
    with pytest.raises(BadFrameError, match="tracklet T0 is not usable: it is empty"):
        train_clips(training, substitute=False)[ClipRequest(0, 0)]
    assert FAULTS not in train_clips(training, substitute=False)[ClipRequest(1, 0)]


def test_clips_and_faults_do_not_depend_on_workers(training):
    Path(training[3].paths[1]).unlink()
    dataset = train_clips(training)
    requests = [ClipRequest(number % 4, seed) for seed in range(3) for number in range(4)]

    def batches(workers):
        return list(DataLoader(dataset, 4, sampler=requests, num_workers=workers, collate_fn=dataset.collate_fn))

    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert torch.equal(alone[IMAGES], shared[IMAGES])
        assert torch.equal(alone[INDICES], shared[INDICES])
        assert alone[FAULTS] == shared[FAULTS]
        assert alone[FAULTS][0].dropped == ["T0"]


def test_a_test_tracklet_without_a_readable_frame_is_an_error_also_with_substitution(training):
    options = {"size": SIZE, "num_frames": 2, "mode": "even", "substitute": True}
    with pytest.raises(UnreadableTrackletError, match="None of the 5 frames of tracklet T0"):
        clips.TestClips(training, **options)[0]
    dropped = clips.TestClips(training, **options, drop_unreadable=True)[0]
    assert not dropped[IMAGES].any()
    assert dropped[FAULTS] == ClipFaults("T0", dropped=["T0"], blank=True)
