"""Faults of frames, by policy and by reader."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from xreid_plugin.data import clips
from xreid_plugin.data.check import unreadable_frames
from xreid_plugin.data.clips import ClipRequest, TrainClips
from xreid_plugin.data.frame_reader import BadFrameError, LooseFrames
from xreid_plugin.data.pack import PackedFrames, pack_tracklets
from xreid_plugin.data.substitution import ClipFaults, UnreadableTrackletError, read_substituting
from xreid_plugin.data.tracklet import FAULTS, IMAGES, INDICES, Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SIZE = (16, 8)
LENGTH = 5


def picture(grey):
    return Image.fromarray(np.full((*SIZE, 3), grey, np.uint8))


def make_tracklet(folder, name, pid=0, first=0):
    """Frame i is of the grey 10 i + first."""
    paths = []
    for index in range(LENGTH):
        path = folder / f"{name}-{index}.jpg"
        picture(10 * index + first).save(path, quality=100)
        paths.append(str(path))
    return Tracklet(paths, pid, 1, Modality.VISIBLE, name)


def greys(clip):
    return clip.reshape(len(clip), -1).mean(1).round().astype(int).tolist()


def test_a_bad_file_is_an_error_or_is_substituted_and_the_checker_finds_it(tmp_path):
    tracklet = make_tracklet(tmp_path, "T")
    bad = Path(tracklet.paths[2])
    bad.write_bytes(bad.read_bytes()[:-40])
    with pytest.raises(BadFrameError, match="tracklet T"):
        LooseFrames().read(tracklet, range(LENGTH), SIZE)
    found = ClipFaults()
    assert greys(read_substituting(LooseFrames(), tracklet, range(LENGTH), SIZE, found)) == [0, 10, 10, 30, 40]
    assert found == ClipFaults("T", frames=[tracklet.paths[2]])
    [line] = unreadable_frames([tracklet], set(), workers=1)
    assert line.startswith(f"{tracklet.paths[2]}: ")


@pytest.mark.parametrize("size", [None, SIZE], ids=["files", "frames"])
def test_a_frame_that_is_not_in_a_pack_is_an_error_or_is_substituted(tmp_path, size):
    tracklet = make_tracklet(tmp_path, "T")
    pack_tracklets([tracklet], tmp_path, "HITSZVCM", tmp_path / "set.pack", size=size)
    reader = PackedFrames(tmp_path / "set.pack", tmp_path)
    tracklet = tracklet._replace(paths=[*tracklet.paths[:2], f"{tmp_path}/other.jpg", *tracklet.paths[3:]])
    with pytest.raises(BadFrameError, match="tracklet T"):
        reader.read(tracklet, range(LENGTH), SIZE)
    found = ClipFaults()
    assert greys(read_substituting(reader, tracklet, range(LENGTH), SIZE, found)) == [0, 10, 10, 30, 40]
    assert found.frames == [tracklet.paths[2]]


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
        shown.add(int(item[INDICES]))
        # As if the sampler had asked for it.
        assert torch.equal(item[IMAGES], dataset[ClipRequest(int(item[INDICES]), seed)][IMAGES])
        assert item[FAULTS].dropped == ["T0"]
    assert shown == {1, 2}


def test_an_identity_without_a_readable_tracklet_is_an_error_that_names_them(training):
    for tracklet in training[1:3]:
        unreadable(tracklet)
    with pytest.raises(UnreadableTrackletError, match=r"T0, T[12], T[12]"):
        train_clips(training)[ClipRequest(0, 0)]


def test_without_substitution_the_first_bad_frame_is_the_error(training):
    with pytest.raises(BadFrameError, match="tracklet T0"):
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
    with pytest.raises(UnreadableTrackletError, match="tracklet T0"):
        clips.TestClips(training, **options)[0]
    dropped = clips.TestClips(training, **options, drop_unreadable=True)[0]
    assert not dropped[IMAGES].any()
    assert dropped[FAULTS] == ClipFaults("T0", dropped=["T0"], blank=True)
