"""Reads written sets back with nothing but their documented layouts."""

import json
import re
from itertools import chain, pairwise

import cv2
import pytest

from xreid_plugin.data.synthetic import SyntheticSettings, write_bupt, write_vcm

SETTINGS = SyntheticSettings(train_identities=3, test_identities=2, cameras=3, tracklets=3, frames=(12, 13))
SMALL = {
    "train_identities": 2,
    "test_identities": 1,
    "cameras": 2,
    "tracklets": 2,
    "frames": (12, 12),
    "size": (48, 24),
}
NAME = re.compile(r"(\d{4})M([12])D(\d+)T(\d+)F(\d+)\.jpg")


@pytest.fixture(scope="module")
def vcm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vcm") / "set"
    write_vcm(SETTINGS, folder)
    return folder


@pytest.fixture(scope="module")
def bupt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bupt") / "set"
    write_bupt(SETTINGS, folder)
    return folder


def lines_of(file):
    return [line.split() for line in file.read_text().splitlines()]


def tracks_of(root, split):
    return [tuple(map(int, line)) for line in lines_of(root / "info" / f"track_{split}_info.txt")]


def contents(root):
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(("split", "identities"), [("train", 3), ("test", 2)])
def test_vcm_names_and_tracks_agree_with_the_files(vcm, split, identities):
    names, tracks = [name for (name,) in lines_of(vcm / "info" / f"{split}_name.txt")], tracks_of(vcm, split)
    files = []
    for name in names:
        pid, modality, camera, _, frame = NAME.fullmatch(name).groups()
        folder = {"1": "ir", "2": "rgb"}[modality]
        files.append(vcm / split.capitalize() / pid / folder / f"D{camera}" / f"{frame}.jpg")
    assert sorted(files) == sorted((vcm / split.capitalize()).rglob("*.jpg"))
    assert len(tracks) == identities * 2 * SETTINGS.tracklets
    assert (tracks[0][1], tracks[-1][2]) == (1, len(names))
    assert all(after[1] == before[2] + 1 for before, after in pairwise(tracks))
    parts = [{NAME.fullmatch(name).groups()[:4] for name in names[track[1] - 1 : track[2]]} for track in tracks]
    assert len(set.union(*parts)) == len(parts)
    for (modality, _, _, pid, camera), ((*named, _),) in zip(tracks, parts, strict=True):
        assert tuple(map(int, named)) == (pid, modality, camera)


def test_vcm_queries_are_the_infrared_test_tracklets_and_have_matches_elsewhere(vcm):
    tracks = tracks_of(vcm, "test")
    (queries,) = lines_of(vcm / "info" / "query_IDX.txt")
    assert list(map(int, queries)) == [number for number, track in enumerate(tracks, start=1) if track[0] == 1]
    kept = [track for track in tracks if track[2] - track[1] + 1 >= 12]
    assert len(kept) < len(tracks), "some are too short"
    assert {(track[3], track[0]) for track in kept} == {(track[3], track[0]) for track in tracks}
    for modality, _, _, pid, camera in kept:
        assert any(other[0] != modality and other[3] == pid and other[4] != camera for other in kept)
    assert not {track[3] for track in tracks} & {track[3] for track in tracks_of(vcm, "train")}


def test_bupt_lists_and_json_agree_with_the_files(bupt):
    known = {}
    for pid, modalities in json.loads((bupt / "data_paths.json").read_text()).items():
        for modality, cameras in modalities.items():
            for camera, tracklets in cameras.items():
                for tracklet, files in tracklets.items():
                    known[pid, modality, camera, tracklet] = files
                    stem = f"{pid}/{modality}/{camera}/{pid}_{modality}_{camera}_{tracklet}"
                    assert files == [f"{stem}_{frame}.jpg" for frame in range(1, len(files) + 1)]
    on_disk = [file.relative_to(bupt / "DATA").as_posix() for file in (bupt / "DATA").rglob("*.jpg")]
    assert sorted(file for files in known.values() for file in files) == sorted(on_disk)
    for (pid, modality, camera, tracklet), files in known.items():
        assert len(files) == len(known[pid, "IR", camera, tracklet]) == len(known[pid, "RGB", camera, tracklet])
        picture = cv2.imread(str(bupt / "DATA" / files[0]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == {"IR": (96, 48), "RGB": (96, 48, 3)}[modality]
    lists = {name: lines_of(bupt / f"{name}.txt") for name in ("train", "train_auxiliary", "query", "gallery")}
    for pid, modality, camera, tracklet in chain(*lists.values()):
        assert all((pid, one, camera, tracklet) in known for one in modality.split("/"))
    assert [len({line[0] for line in lines}) for lines in lists.values()] == [3, 1, 2, 2]
    assert {line[1] for line in lists["query"]} == {"IR", "RGB"}
    for pid, _, camera, tracklet in lists["query"]:
        mine = [line for line in lists["gallery"] if line[0] == pid]
        assert {line[1] for line in mine} == {"IR", "RGB"}
        assert all(line[2] != camera and line[3] != tracklet for line in mine)


@pytest.mark.slow
def test_equal_settings_give_equal_bytes_whatever_the_processes_and_their_hash_seed(tmp_path, monkeypatch):
    write_bupt(SyntheticSettings(**SMALL), tmp_path / "one")
    monkeypatch.setenv("PYTHONHASHSEED", "123")  # Workers inherit it.
    write_bupt(SyntheticSettings(**SMALL), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_only_a_synthetic_set_is_replaced_and_only_by_a_whole_one(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    write_vcm(SyntheticSettings(**SMALL), root)
    before = contents(root)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_vcm(SyntheticSettings(**SMALL, seed=1), root)
    with pytest.raises(ValueError, match="workers"):
        write_vcm(SyntheticSettings(**SMALL, seed=1), root, overwrite=True, workers=0)
    assert contents(root) == before
    write_vcm(SyntheticSettings(**SMALL, seed=1), root, overwrite=True)
    after = contents(root)
    shared = [name for name in before if name.endswith(".jpg") and name in after]
    assert len(shared) > 20
    assert all(before[name] != after[name] for name in shared)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    with pytest.raises(FileExistsError, match="thesis"):
        write_vcm(SyntheticSettings(**SMALL), tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"
    assert {entry.name for entry in tmp_path.iterdir()} == {"set", "thesis"}
