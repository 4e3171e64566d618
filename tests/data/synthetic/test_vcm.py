"""Reads a written HITSZ-VCM set back with nothing but its documented layout."""

import re
from itertools import pairwise

import cv2
import pytest

from xreid_plugin.data.synthetic import SyntheticSettings, write_vcm

SETTINGS = SyntheticSettings(train_identities=3, test_identities=2, cameras=3, tracklets=3, frames=(12, 13))
NAME = re.compile(r"(\d{4})M([12])D(\d+)T(\d+)F(\d+)\.jpg")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vcm") / "set"
    write_vcm(SETTINGS, folder)
    return folder


def names_of(root, split):
    return (root / "info" / f"{split}_name.txt").read_text().splitlines()


def tracks_of(root, split):
    lines = (root / "info" / f"track_{split}_info.txt").read_text().splitlines()
    return [tuple(int(word) for word in line.split()) for line in lines]


def file_of(root, split, name):
    pid, modality, camera, _, frame = NAME.fullmatch(name).groups()
    return root / split.capitalize() / pid / {"1": "ir", "2": "rgb"}[modality] / f"D{camera}" / f"{frame}.jpg"


@pytest.mark.parametrize("split", ["train", "test"])
def test_names_and_image_files_are_the_same_set_without_repeats(root, split):
    files = [file_of(root, split, name) for name in names_of(root, split)]
    assert len(files) == len(set(files))
    assert set(files) == set((root / split.capitalize()).rglob("*.jpg"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_frame_decodes_to_the_requested_size_and_infrared_is_grey(root, split):
    for name in names_of(root, split):
        picture = cv2.imread(str(file_of(root, split, name)), cv2.IMREAD_UNCHANGED)
        infrared = "M1" in name
        assert picture.shape == ((96, 48) if infrared else (96, 48, 3))


@pytest.mark.parametrize(("split", "identities"), [("train", 3), ("test", 2)])
def test_tracks_tile_the_name_list_and_each_stays_with_one_tracklet(root, split, identities):
    names, tracks = names_of(root, split), tracks_of(root, split)
    assert len(tracks) == identities * 2 * SETTINGS.tracklets
    assert tracks[0][1] == 1
    assert tracks[-1][2] == len(names)
    assert all(after[1] == before[2] + 1 for before, after in pairwise(tracks))
    seen = set()
    for modality, first, last, pid, camera in tracks:
        parts = {NAME.fullmatch(name).groups()[:4] for name in names[first - 1 : last]}
        assert {tuple(map(int, part[:3])) for part in parts} == {(pid, modality, camera)}
        assert len(parts) == 1, "one tracklet number"
        assert not parts & seen
        seen |= parts


def test_frame_numbers_run_on_through_the_tracklets_of_a_camera(root):
    folders = {}
    for name in names_of(root, "train"):
        pid, modality, camera, tracklet, frame = NAME.fullmatch(name).groups()
        folders.setdefault((pid, modality, camera), []).append((int(tracklet), int(frame)))
    assert any(len({tracklet for tracklet, _ in frames}) > 1 for frames in folders.values())
    for frames in folders.values():
        assert [frame for _, frame in sorted(frames)] == list(range(1, len(frames) + 1))


def test_queries_are_the_infrared_test_tracklets_counted_from_one(root):
    queries = [int(word) for word in (root / "info" / "query_IDX.txt").read_text().split()]
    infrared = [number for number, track in enumerate(tracks_of(root, "test"), start=1) if track[0] == 1]
    assert queries == infrared
    assert len(queries) == 2 * SETTINGS.tracklets


def test_no_test_identity_is_trained_on(root):
    train, test = ({track[3] for track in tracks_of(root, split)} for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    assert not train & test


@pytest.mark.parametrize("split", ["train", "test"])
def test_some_tracklets_are_too_short_but_every_identity_keeps_both_modalities(root, split):
    lengths = {track: track[2] - track[1] + 1 for track in tracks_of(root, split)}
    assert any(length < 12 for length in lengths.values())
    kept = {(track[3], track[0]) for track, length in lengths.items() if length >= 12}
    assert kept == {(track[3], track[0]) for track in lengths}


def test_every_query_has_a_match_under_another_camera(root):
    tracks = [track for track in tracks_of(root, "test") if track[2] - track[1] + 1 >= 12]
    for modality, _, _, pid, camera in tracks:
        assert any(other[0] != modality and other[3] == pid and other[4] != camera for other in tracks)
