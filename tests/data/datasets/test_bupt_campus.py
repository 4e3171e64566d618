import json

import pytest

from tests.data.datasets.trees import small_bupt
from xreid_plugin.data.datasets.base import tracklet_dataset
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.tracklet import Modality


@pytest.fixture
def tree(tmp_path):
    tree = small_bupt(tmp_path / "BUPTCampus")
    tree.write()
    return tree


def sides(dataset, task):
    return [[dataset.test[index].name for index in indices] for indices in dataset.tasks[task]]


def test_the_host_finds_it_by_name():
    assert tracklet_dataset("BUPTCampus") is BUPTCampus


def test_training_lines_give_a_tracklet_in_each_modality(tree, tmp_path):
    dataset = BUPTCampus(tmp_path)
    assert [(t.pid, t.camid, t.modality) for t in dataset.train] == [
        (1, 5, Modality.INFRARED),
        (1, 5, Modality.VISIBLE),
        (0, 0, Modality.INFRARED),
        (0, 0, Modality.VISIBLE),
    ]
    assert dataset.train_identities == (9, 10)
    assert dataset.cameras == (0, 5)
    assert list(dataset.train[0].paths) == [
        f"{tree.home}/DATA/10/IR/TSG2/10_IR_TSG2_1_{frame}.jpg" for frame in (8000, 8001)
    ]


def test_the_two_tasks_have_their_own_sets(tree, tmp_path):
    dataset = BUPTCampus(tmp_path)
    assert sides(dataset, "I2V") == [["20_IR_W4_1"], ["20_RGB_CQ1_1", "21_RGB_CQ1_1"]]
    assert sides(dataset, "V2I") == [["21_RGB_G25_1"], ["20_IR_CQ1_1", "21_IR_CQ1_1"]]
    assert [t.name for t in dataset.query] == ["20_IR_W4_1"]
    assert [t.name for t in dataset.gallery] == ["20_RGB_CQ1_1", "21_RGB_CQ1_1"]


def test_all_six_cameras_have_their_numbers(tree, tmp_path):
    for number, camera in enumerate(("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")):
        tree.list("train", 100 + number, "RGB/IR", camera)
    tree.write()
    cameras = {t.name.split("_")[0]: t.camid for t in BUPTCampus(tmp_path).train}
    assert [cameras[str(100 + number)] for number in range(6)] == [0, 1, 2, 3, 4, 5]


def test_a_tracklet_in_query_and_gallery_is_one_test_tracklet(tree, tmp_path):
    tree.lines["gallery"].append("20 IR W4 1")
    tree.write()
    dataset = BUPTCampus(tmp_path)
    assert [t.name for t in dataset.test].count("20_IR_W4_1") == 1
    index = [t.name for t in dataset.test].index("20_IR_W4_1")
    assert index in dataset.tasks["I2V"].query
    assert index in dataset.tasks["V2I"].gallery


def test_the_auxiliary_set_joins_training_when_asked(tree, tmp_path):
    without, dataset = BUPTCampus(tmp_path), BUPTCampus(tmp_path, auxiliary=True)
    assert dataset.train_identities == (4, 9, 10)
    assert len(dataset.train) == len(without.train) + 2
    assert dataset.cameras == (0, 4, 5)
    assert (without.protocol["auxiliary"], dataset.protocol["auxiliary"]) == (False, True)
    assert [t.name for t in dataset.test] == [t.name for t in without.test]


def test_an_auxiliary_identity_in_test_is_refused(tree, tmp_path):
    tree.list("train_auxiliary", 21, "RGB/IR", "TSG1")
    tree.write()
    BUPTCampus(tmp_path)
    with pytest.raises(ValueError, match="21"):
        BUPTCampus(tmp_path, auxiliary=True)


def test_single_frames_stay_unless_min_length_says_otherwise(tree, tmp_path):
    tree.list("gallery", 20, "RGB", "LS3", length=1)
    tree.write()
    assert "20_RGB_LS3_1" in sides(BUPTCampus(tmp_path), "I2V")[1]
    assert "20_RGB_LS3_1" not in sides(BUPTCampus(tmp_path, min_length=2), "I2V")[1]


def test_generated_infrared_is_left_aside(tree, tmp_path):
    before = BUPTCampus(tmp_path).protocol
    tree.track(10, "FakeIR", "TSG2")
    tree.write()
    assert BUPTCampus(tmp_path).protocol == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train", "10 RGB/IR TSG2"),
        ("train", "ten RGB/IR TSG2 1"),
        ("train", "10 IR TSG2 1"),
        ("train", "10 RGB/IR TSG3 1"),
        ("train", "10 RGB/IR TSG2 2"),
        ("train", "11 RGB/IR TSG2 1"),
        ("query", "20 RGB/IR W4 1"),
        ("query", "20 FakeIR W4 1"),
        ("gallery", "20 IR LS3 1"),
    ],
)
def test_malformed_lines_are_named(tree, tmp_path, name, text):
    tree.lines[name][0] = text
    tree.write()
    with pytest.raises(ValueError, match=name) as error:
        BUPTCampus(tmp_path)
    assert str(error.value).startswith(f"{tree.home / name}.txt, line 1: {text!r}: ")


def test_a_tracklet_that_is_listed_twice_is_named(tree, tmp_path):
    tree.lines["train"].append(tree.lines["train"][0])
    tree.write()
    with pytest.raises(ValueError, match=r"train\.txt, line 3"):
        BUPTCampus(tmp_path)


@pytest.mark.parametrize(
    "frames",
    [
        *([path, "20/IR/W4/20_IR_W4_1_8001.jpg"] for path in ("../x.jpg", "../20/IR/W4/x.jpg", "/20/IR/x.jpg", "")),
        ["20/IR/W4/..", "20/IR/W4/x.jpg"],
        ["20/IR/../../../x.jpg"],
        ["20/RGB/W4/a.jpg", "20/IR/XX9/b.jpg"],
        [],
        "20/IR/W4/x.jpg",
        [3],
        {},
        None,
    ],
)
def test_frames_outside_the_copy_of_others_or_no_list_of_names_are_refused(tree, tmp_path, frames):
    write_frames(tree, frames)
    with pytest.raises(ValueError, match=r"query\.txt, line 1"):
        BUPTCampus(tmp_path)


def test_folders_that_lead_out_are_refused(tree, tmp_path):
    (tree.home / "DATA/9/IR").rename(tmp_path / "elsewhere")
    (tree.home / "DATA/9/IR").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"train\.txt, line 2.*9/IR"):
        BUPTCampus(tmp_path)


def test_a_few_stray_frames_are_counted(tree, tmp_path):
    write_frames(tree, ["20/RGB/W4/a.jpg", "20/IR/W4/b.jpg"])
    assert BUPTCampus(tmp_path).mixed == ("20_IR_W4_1",)


def test_missing_and_unreadable_parts_are_named(tree, tmp_path):
    (tree.home / "gallery.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"gallery\.txt"):
        BUPTCampus(tmp_path)
    (tree.home / "DATA").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="DATA"):
        BUPTCampus(tmp_path)
    (tree.home / "DATA").mkdir()
    (tree.home / "data_paths.json").write_text("{")
    with pytest.raises(ValueError, match=r"data_paths\.json"):
        BUPTCampus(tmp_path)
    (tree.home / "data_paths.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)data_paths\.json.*repository BUPTCampus.*DATASETS\.ROOT"):
        BUPTCampus(tmp_path)


def write_frames(tree, frames):
    """Puts what may be no list of good paths into data_paths.json; such frames cannot be written to disk."""
    tree.paths["20"]["IR"]["W4"]["1"] = frames
    (tree.home / "data_paths.json").write_text(json.dumps(tree.paths))
