import json

import pytest

from tests.data.datasets.trees import small_bupt
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.tracklet import Modality


@pytest.fixture
def tree(tmp_path):
    tree = small_bupt(tmp_path / "BUPTCampus")
    tree.write()
    return tree


def sides(dataset, task):
    return [[dataset.test[index].name for index in indices] for indices in dataset.tasks[task]]


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
    # A tracklet in query and gallery is one test tracklet.
    tree.lines["gallery"].append("20 IR W4 1")
    tree.write()
    dataset = BUPTCampus(tmp_path)
    assert [t.name for t in dataset.test].count("20_IR_W4_1") == 1
    assert sides(dataset, "V2I")[1] == ["20_IR_CQ1_1", "21_IR_CQ1_1", "20_IR_W4_1"]


def test_every_camera_has_its_number_single_frames_count_and_generated_infrared_does_not(tree, tmp_path):
    before = BUPTCampus(tmp_path).protocol
    tree.track(10, "FakeIR", "TSG2")
    tree.write()
    assert BUPTCampus(tmp_path).protocol == before
    for number, camera in enumerate(("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")):
        tree.list("train", 100 + number, "RGB/IR", camera, length=1)
    tree.write()
    cameras = {t.name.split("_")[0]: t.camid for t in BUPTCampus(tmp_path).train}
    assert [cameras[str(100 + number)] for number in range(6)] == [0, 1, 2, 3, 4, 5]
    assert BUPTCampus(tmp_path, min_length=2).train_identities == (9, 10)


def test_the_auxiliary_set_joins_training_when_asked(tree, tmp_path):
    without, dataset = BUPTCampus(tmp_path), BUPTCampus(tmp_path, auxiliary=True)
    assert dataset.train_identities == (4, 9, 10)
    assert len(dataset.train) == len(without.train) + 2
    assert dataset.cameras == (0, 4, 5)
    assert (without.protocol["auxiliary"], dataset.protocol["auxiliary"]) == (False, True)
    assert [t.name for t in dataset.test] == [t.name for t in without.test]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train", "9 RGB/IR LS3"),
        ("train", "9 IR LS3 1"),
        ("train", "9 RGB/IR TSG3 1"),
        ("train", "9 RGB/IR LS3 2"),
        ("train", "10 RGB/IR TSG2 1"),
        ("gallery", "20 FakeIR CQ1 1"),
    ],
)
def test_malformed_and_doubled_lines_are_named(tree, tmp_path, name, text):
    tree.lines[name][1] = text
    tree.write()
    with pytest.raises(ValueError, match=name) as error:
        BUPTCampus(tmp_path)
    assert str(error.value).startswith(f"{tree.home / name}.txt, line 2: {text!r}: ")


@pytest.mark.parametrize(
    "path", ["../x.jpg", "../20/IR/W4/x.jpg", "/20/IR/x.jpg", "20/IR/../../../x.jpg", "away/x.jpg"]
)
def test_frames_outside_the_copy_are_refused(tree, tmp_path, path):
    (tree.home / "DATA/away").symlink_to(tmp_path)
    tree.paths["20"]["IR"]["W4"]["1"] = ["20/IR/W4/20_IR_W4_1_8001.jpg", path]
    (tree.home / "data_paths.json").write_text(json.dumps(tree.paths))
    with pytest.raises(ValueError, match=r"query\.txt, line 1"):
        BUPTCampus(tmp_path)


def test_missing_and_unreadable_parts_are_named(tree, tmp_path):
    (tree.home / "gallery.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"gallery\.txt"):
        BUPTCampus(tmp_path)
    (tree.home / "DATA").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="DATA"):
        BUPTCampus(tmp_path)
    (tree.home / "data_paths.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_paths\.json"):
        BUPTCampus(tmp_path)
