import json
from pathlib import Path

import pytest

from tests.data.datasets.trees import INFRARED, VISIBLE, VcmTree, small_vcm
from xreid_plugin.data.datasets.base import MetadataError
from xreid_plugin.data.datasets.hitsz_vcm import DATASET_REGISTRY, HITSZVCM
from xreid_plugin.data.tracklet import Modality, RetrievalTask


@pytest.fixture
def tree(tmp_path):
    return small_vcm(tmp_path / "HITSZ-VCM")


def names(tracklets):
    return [tracklet.name for tracklet in tracklets]


def test_the_host_finds_it_by_name():
    assert DATASET_REGISTRY.get("HITSZVCM") is HITSZVCM


def test_reads_labels_cameras_modalities_and_paths(tree):
    home = tree.write()
    dataset = HITSZVCM(home)
    assert [(t.pid, t.camid, t.modality) for t in dataset.train] == [
        (1, 3, Modality.VISIBLE),
        (1, 3, Modality.INFRARED),
        (0, 11, Modality.VISIBLE),
        (0, 11, Modality.INFRARED),
    ]
    assert dataset.train_identities == (2, 7)
    assert dataset.num_train_pids == 2
    assert dataset.cameras == (3, 11)
    assert [(t.pid, t.camid, t.modality) for t in dataset.test] == [
        (503, 1, Modality.INFRARED),
        (503, 2, Modality.VISIBLE),
        (504, 12, Modality.INFRARED),
        (504, 1, Modality.VISIBLE),
    ]
    assert list(dataset.train[2].paths) == [f"{home}/Train/0002/rgb/D11/{frame}.jpg" for frame in range(25, 37)]
    assert dataset.test[2].paths[0] == f"{home}/Test/0504/ir/D12/25.jpg"
    assert all(Path(path).is_file() for tracklet in dataset.train + dataset.test for path in tracklet.paths)
    everything = names(dataset.train + dataset.test)
    assert len(set(everything)) == len(everything)


def test_the_parent_folder_will_do_as_root(tree, tmp_path):
    assert names(HITSZVCM(tree.write()).train) == names(HITSZVCM(str(tmp_path)).train)


def test_tasks_are_one_pair_of_sets_and_its_swap(tree):
    dataset = HITSZVCM(tree.write())
    assert dataset.tasks == {"I2V": RetrievalTask((0, 2), (1, 3)), "V2I": RetrievalTask((1, 3), (0, 2))}
    assert dataset.query == [dataset.test[0], dataset.test[2]]
    assert dataset.gallery == [dataset.test[1], dataset.test[3]]


@pytest.mark.parametrize("text", ["1 3", "1 3\n", "1\n3\n", "1 \n 3", "3 1"])
def test_query_numbers_stand_on_one_line_or_several(tree, text):
    tree.query = text
    dataset = HITSZVCM(tree.write())
    assert {dataset.test[index].pid for index in dataset.tasks["I2V"].query} == {503, 504}
    assert {dataset.test[index].modality for index in dataset.tasks["I2V"].query} == {Modality.INFRARED}


def test_short_tracklets_go_without_shifting_the_query_numbers(tmp_path):
    tree = VcmTree(tmp_path)
    tree.track("train", VISIBLE, 1, 1, length=11)
    tree.track("train", VISIBLE, 2, 1, length=12)
    tree.track("train", INFRARED, 2, 1, length=24)
    tree.track("test", INFRARED, 10, 1, length=11)
    tree.track("test", VISIBLE, 10, 1, length=1)
    tree.track("test", INFRARED, 11, 1)
    tree.track("test", VISIBLE, 11, 1)
    tree.query = "1 3"
    dataset = HITSZVCM(tree.write())
    assert [(t.pid, len(t.paths)) for t in dataset.train] == [(0, 12), (0, 24)]
    assert dataset.train_identities == (2,)
    assert [t.pid for t in dataset.test] == [11, 11]
    assert dataset.tasks["I2V"] == RetrievalTask((0,), (1,))

    everything = HITSZVCM(tmp_path, min_length=1)
    assert len(everything.train) == 3
    assert everything.tasks["I2V"] == RetrievalTask((0, 2), (1, 3))
    counts = dataset.protocol["sets"]["I2V query"]["infrared"]
    assert counts == {"listed": 2, "kept": 1, "identities": 1, "frames": 12, "cameras": 1}


@pytest.mark.parametrize("folder", ["data", "."])
def test_frames_may_lie_merged_in_one_folder(tree, folder):
    home = tree.write(folders=(folder, folder))
    dataset = HITSZVCM(home)
    assert Path(dataset.train[0].paths[0]) == home / folder / "0007/rgb/D3/1.jpg"
    assert Path(dataset.test[0].paths[0]) == home / folder / "0503/ir/D1/1.jpg"


def test_lists_may_lie_beside_the_frames(tree):
    home = tree.write(folders=(".", "."))
    for file in tree.info.iterdir():
        file.rename(home / file.name)
    tree.info.rmdir()
    assert len(HITSZVCM(home).train) == 4


def test_a_copy_without_frames_is_refused(tree):
    home = tree.write(folders=("elsewhere", "elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"No frame of HITSZ-VCM.*0007/rgb/D3/1\.jpg.*Train.*data"):
        HITSZVCM(home)


def test_a_missing_copy_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)HITSZ-VCM-data.*DATASETS\.ROOT.*FASTREID_DATASETS.*make demo"):
        HITSZVCM(tmp_path)


@pytest.mark.parametrize(
    ("file", "line", "text", "expected"),
    [
        ("train_name.txt", 3, "0007M2D3F3.jpg", "0001M2D3T1F1.jpg"),
        ("train_name.txt", 3, "0007M3D3T1F3.jpg", "modality 1 .infrared. or 2"),
        ("train_name.txt", 3, "0007M2D123T1F3.jpg", "one or two digits"),
        ("train_name.txt", 3, "../../etc/passwd", "0001M2D3T1F1.jpg"),
        ("test_name.txt", 2, "/0503M1D1T1F2.jpg", "0001M2D3T1F1.jpg"),
        ("track_train_info.txt", 2, "1 13 24 7", "five whole numbers"),
        ("track_train_info.txt", 2, "1 13 24 7 3 9", "five whole numbers"),
        ("track_train_info.txt", 2, "1 13 24 seven 3", "five whole numbers"),
        ("track_train_info.txt", 2, "1 13 24.0 7 3", "five whole numbers"),
        ("track_train_info.txt", 2, "3 13 24 7 3", "modality 3 is unknown"),
        ("track_train_info.txt", 2, "1 0 24 7 3", "expected 1 <= first <= last <= 48"),
        ("track_train_info.txt", 2, "1 13 49 7 3", "expected 1 <= first <= last <= 48"),
        ("track_train_info.txt", 2, "1 24 13 7 3", "first 24 and last 13"),
        ("track_train_info.txt", 2, "2 13 24 7 3", "modality 2, camera 3, but line 13 of train_name.txt"),
        ("track_train_info.txt", 2, "1 13 24 8 3", "identity 8"),
        ("track_test_info.txt", 3, "1 25 36 504 1", "camera 1, but line 25 of test_name.txt says .* camera 12"),
        ("query_IDX.txt", 1, "0 1", "'0' is no tracklet; .* 1 to 4"),
        ("query_IDX.txt", 1, "1 5", "'5' is no tracklet"),
        ("query_IDX.txt", 1, "1 x", "'x' is no tracklet"),
        ("query_IDX.txt", 1, "1 3 1", "tracklet 1 is a query already on line 1"),
        ("query_IDX.txt", 1, "2", "tracklet 2 is visible"),
    ],
)
def test_malformed_lines_are_named(tree, file, line, text, expected):
    tree.write()
    lines = (tree.info / file).read_text().splitlines()
    lines[line - 1] = text
    (tree.info / file).write_text("\n".join(lines))
    with pytest.raises(MetadataError, match=expected) as error:
        HITSZVCM(tree.home)
    message = str(error.value)
    assert message.startswith(f"{tree.info / file}, line {line}: ")
    assert repr(text) in message


def change_line(file, line, lines):
    rows = file.read_text().splitlines()
    rows[line - 1 : line] = lines * [rows[line - 1]]
    file.write_text("\n".join(rows))


def test_a_lost_name_is_looked_for_where_names_cease_to_fit(tree):
    tree.write()
    change_line(tree.info / "train_name.txt", 15, 0)
    with pytest.raises(MetadataError, match="line 4: '1 37 48 2 11': first 37 and last 48") as error:
        HITSZVCM(tree.home)
    message = str(error.value)
    assert "train_name.txt has 47 lines, 1 line too few for track_train_info.txt, which ends at 48" in message
    # The second tracklet is of lines 13 to 24, and its last line is now the first of the third.
    assert "line 24 of train_name.txt is the first that does not fit its tracklet, line 2 of" in message
    assert "2 of 3 tracklets up to here have such lines" in message
    assert "begins at" not in message


def test_a_lost_tracklet_is_looked_for_where_the_ranges_leave_a_gap(tree):
    first, _, third, _ = tree.tracks["train"]
    tree.tracks["train"] = [first, third, "1 37 49 2 11"]
    tree.write()
    with pytest.raises(MetadataError, match="line 3: '1 37 49 2 11'") as error:
        HITSZVCM(tree.home)
    message = str(error.value)
    assert "line 2 of track_train_info.txt begins at 25, and the line before it ends at 12" in message
    assert "48 lines, 1 line too few" in message
    assert "does not fit" not in message


def test_a_doubled_name_shifts_most_tracklets_and_is_refused(tmp_path):
    tree = small_vcm(tmp_path)
    for pid in range(20, 30):
        tree.track("train", VISIBLE, pid, 1)
        tree.track("train", INFRARED, pid, 1)
    tree.write()
    change_line(tree.info / "train_name.txt", 3, 2)
    with pytest.raises(MetadataError, match=r"track_train_info\.txt: most tracklets hold frames") as error:
        HITSZVCM(tree.home)
    message = str(error.value)
    assert "train_name.txt has 289 lines, 1 line too many for track_train_info.txt, which ends at 288" in message
    assert "line 13 of train_name.txt is the first that does not fit its tracklet, line 2 of" in message
    assert "23 of 24 tracklets" in message


def test_a_shift_without_a_sign_is_still_thought_of(tree):
    tree.tracks["train"][0] = "2 1 12 8 3"
    tree.write()
    with pytest.raises(MetadataError, match=r"missing or doubled further up: in track_train_info\.txt or train_name"):
        HITSZVCM(tree.home)


@pytest.mark.parametrize(
    "file", ["train_name.txt", "test_name.txt", "track_train_info.txt", "track_test_info.txt", "query_IDX.txt"]
)
def test_empty_and_missing_lists_are_named(tree, file):
    tree.write()
    (tree.info / file).write_text("")
    with pytest.raises(MetadataError, match=f"{file}: the file is empty"):
        HITSZVCM(tree.home)
    (tree.info / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        HITSZVCM(tree.home)


def test_stray_frames_are_kept_counted_and_logged(tree, caplog):
    tree.names["train"][0] = "0009M2D3T1F1.jpg"
    dataset = HITSZVCM(tree.write())
    assert dataset.mixed == (dataset.train[0].name,)
    assert dataset.protocol["mixed_tracklets"] == 1
    assert len(dataset.train[0].paths) == 12
    assert dataset.train[0].name in caplog.text
    assert all(Path(path).is_file() for path in dataset.train[0].paths)


def test_an_identity_in_training_and_test_is_refused(tree):
    tree.track("train", VISIBLE, 504, 1)
    tree.write()
    with pytest.raises(MetadataError, match="1 identity is in both training and test, such as 504"):
        HITSZVCM(tree.home)


def test_options_that_leave_nothing_or_mean_nothing_are_refused(tree):
    home = tree.write()
    with pytest.raises(ValueError, match="no tracklet of 13 frames or more is left in 'train'"):
        HITSZVCM(home, min_length=13)
    with pytest.raises(ValueError, match="min_length is -1"):
        HITSZVCM(home, min_length=-1)
    with pytest.raises(ValueError, match="COMBINEALL"):
        HITSZVCM(home, combineall=True)


def test_the_protocol_is_json_and_the_same_wherever_the_copy_lies(tree, tmp_path):
    there = json.loads(json.dumps(HITSZVCM(tree.write()).protocol))
    tree.home.rename(tmp_path / "moved")
    dataset = HITSZVCM(tmp_path / "moved")
    assert there == dataset.protocol
    assert there["dataset"] == "HITSZVCM"
    assert there["min_length"] == 12
    assert there["identities"] == {"train": 2, "test": 2}
    assert there["sets"]["train"]["visible"] == {"listed": 2, "kept": 2, "identities": 2, "frames": 24, "cameras": 2}
    assert there["sets"]["V2I query"] == there["sets"]["I2V gallery"]


def test_tables_have_a_row_for_each_set_and_modality(tree, caplog):
    dataset = HITSZVCM(tree.write())
    with caplog.at_level("INFO"):
        dataset.show_train()
        dataset.show_test()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in caplog.text.splitlines()]
    assert ["train", "infrared", "2", "2", "24", "2"] in rows
    assert ["V2I gallery", "infrared", "2", "2", "24", "2"] in rows
