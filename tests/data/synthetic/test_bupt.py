"""Reads a written BUPTCampus set back with nothing but its documented layout."""

import json

import cv2
import pytest

from xreid_plugin.data.synthetic import SyntheticError, SyntheticSettings, write_bupt

SETTINGS = SyntheticSettings(train_identities=4, test_identities=3, cameras=6, tracklets=2, frames=(12, 12))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bupt") / "set"
    write_bupt(SETTINGS, folder)
    return folder


@pytest.fixture(scope="module")
def paths(root):
    return json.loads((root / "data_paths.json").read_text())


def lines_of(root, name):
    return [tuple(line.split()) for line in (root / f"{name}.txt").read_text().splitlines()]


def flat(paths):
    return {
        (pid, modality, camera, tracklet): files
        for pid, modalities in paths.items()
        for modality, cameras in modalities.items()
        for camera, tracklets in cameras.items()
        for tracklet, files in tracklets.items()
    }


def test_the_json_names_every_image_once_and_each_by_its_place(root, paths):
    listed = [file for files in flat(paths).values() for file in files]
    assert len(listed) == len(set(listed))
    assert set(listed) == {file.relative_to(root / "DATA").as_posix() for file in (root / "DATA").rglob("*.jpg")}
    for (pid, modality, camera, tracklet), files in flat(paths).items():
        stem = f"{pid}/{modality}/{camera}/{pid}_{modality}_{camera}_{tracklet}"
        assert files == [f"{stem}_{frame}.jpg" for frame in range(1, len(files) + 1)]


def test_frames_decode_to_the_requested_size(root, paths):
    for (_, modality, _, _), files in flat(paths).items():
        picture = cv2.imread(str(root / "DATA" / files[0]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == {"IR": (96, 48), "RGB": (96, 48, 3)}[modality]


def test_every_listed_tracklet_is_in_the_json(root, paths):
    known = flat(paths)
    for name in ("train", "train_auxiliary", "query", "gallery"):
        for pid, modality, camera, tracklet in lines_of(root, name):
            assert modality in (("RGB/IR",) if name.startswith("train") else ("RGB", "IR"))
            for one in modality.split("/"):
                assert (pid, one, camera, tracklet) in known


def test_pairs_are_of_equal_length(paths):
    known = flat(paths)
    for (pid, _, camera, tracklet), files in known.items():
        assert len(files) == len(known[pid, "IR", camera, tracklet]) == len(known[pid, "RGB", camera, tracklet])


def test_parts_are_disjoint_and_of_the_documented_sizes(root):
    people = {name: {line[0] for line in lines_of(root, name)} for name in ("train", "train_auxiliary", "query")}
    assert {name: len(pids) for name, pids in people.items()} == {"train": 4, "train_auxiliary": 1, "query": 3}
    assert len(set.union(*people.values())) == 8
    assert len(lines_of(root, "train")) == 8
    assert len(lines_of(root, "train_auxiliary")) == 1


def test_each_test_identity_asks_once_and_is_found_in_both_modalities_elsewhere(root):
    queries, gallery = lines_of(root, "query"), lines_of(root, "gallery")
    assert len(queries) == len({line[0] for line in queries})
    assert {line[1] for line in queries} == {"IR", "RGB"}
    for pid, _, camera, tracklet in queries:
        mine = [line for line in gallery if line[0] == pid]
        assert {line[1] for line in mine} == {"IR", "RGB"}
        assert all(line[2] != camera and line[3] != tracklet for line in mine)


@pytest.mark.parametrize(("changed", "named"), [({"cameras": 7}, "cameras"), ({"tracklets": 1}, "tracklets")])
def test_what_the_layout_cannot_hold_is_refused(tmp_path, changed, named):
    with pytest.raises(SyntheticError, match=named):
        write_bupt(SyntheticSettings(**changed), tmp_path / "set")
    assert not list(tmp_path.iterdir())
