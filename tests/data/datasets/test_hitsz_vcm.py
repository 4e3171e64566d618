import shutil
from pathlib import Path

import pytest
from fastreid.data.datasets import DATASET_REGISTRY

from tests.data.datasets.trees import INFRARED, VISIBLE, VcmTree, small_vcm
from xreid_plugin.data.datasets.base import tracklet_dataset
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.tracklet import Modality, RetrievalTask


@pytest.fixture
def tree(tmp_path):
    return small_vcm(tmp_path / "HITSZ-VCM")


def names(tracklets):
    return [tracklet.name for tracklet in tracklets]


def test_the_host_finds_it_by_name():
    assert DATASET_REGISTRY.get("HITSZVCM") is tracklet_dataset("HITSZVCM") is HITSZVCM
    assert tracklet_dataset("Market1501") is tracklet_dataset("NoSuchSet") is None


def test_reads_labels_cameras_modalities_and_paths(tree, tmp_path):
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
    assert dataset.tasks == {"I2V": RetrievalTask((0, 2), (1, 3)), "V2I": RetrievalTask((1, 3), (0, 2))}
    assert (names(dataset.query), names(dataset.gallery)) == (names(dataset.test[::2]), names(dataset.test[1::2]))
    # The folder that holds the dataset's own will do.
    assert names(HITSZVCM(str(tmp_path)).train) == names(dataset.train)


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
def test_frames_may_lie_merged_in_one_folder_and_lists_beside_them(tree, folder):
    home = tree.write(folders=(folder, folder))
    for file in tree.info.iterdir():
        file.rename(home / file.name)
    dataset = HITSZVCM(home)
    assert Path(dataset.train[0].paths[0]) == home / folder / "0007/rgb/D3/1.jpg"
    assert Path(dataset.test[0].paths[0]) == home / folder / "0503/ir/D1/1.jpg"


def test_a_copy_without_frames_or_lists_is_explained(tree, tmp_path):
    home = tree.write()
    file = tree.info / "query_IDX.txt"
    for harm, told in (
        (lambda: file.write_text("\n \n"), "empty"),
        (file.unlink, "missing"),
        (file.mkdir, "is a folder"),
    ):
        harm()
        with pytest.raises((ValueError, FileNotFoundError), match=rf"query_IDX\.txt.*{told}"):
            HITSZVCM(home)
    shutil.rmtree(home)
    with pytest.raises(FileNotFoundError, match=r"DATASETS\.ROOT"):
        HITSZVCM(tmp_path)
    home = tree.write(folders=("elsewhere", "elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"0007/rgb/D3/1\.jpg.*Train"):
        HITSZVCM(home)


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [
        ("train_name.txt", 3, "../../etc/passwd"),
        ("track_train_info.txt", 2, "1 13 24 7"),
        ("track_train_info.txt", 2, "1 13 49 7 3"),
        ("track_train_info.txt", 2, "1 24 13 7 3"),
        ("track_train_info.txt", 2, "1 13 24 8 3"),
        ("query_IDX.txt", 1, "0 1"),
        ("query_IDX.txt", 1, "1 5"),
        ("query_IDX.txt", 1, "2"),
    ],
)
def test_malformed_and_contradicting_lines_are_named(tree, file, line, text):
    tree.write()
    lines = (tree.info / file).read_text().splitlines()
    lines[line - 1] = text
    (tree.info / file).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=file) as error:
        HITSZVCM(tree.home)
    assert str(error.value).startswith(f"{tree.info / file}, line {line}: {text!r}: ")


def test_a_doubled_name_shifts_most_tracklets_and_is_refused(tmp_path):
    tree = small_vcm(tmp_path)
    for pid in range(20, 30):
        tree.track("train", VISIBLE, pid, 1)
        tree.track("train", INFRARED, pid, 1)
    tree.names["train"].insert(3, tree.names["train"][3])
    tree.write()
    with pytest.raises(ValueError, match=r"track_train_info\.txt"):
        HITSZVCM(tree.home)


def test_a_folder_of_frames_may_be_a_link_but_one_in_it_must_not_lead_out(tree, tmp_path):
    home = tree.write()
    (home / "Train").rename(tmp_path / "disk")
    (home / "Train").symlink_to(tmp_path / "disk")
    assert len(HITSZVCM(home).train) == 4
    (home / "Train/0002").rename(tmp_path / "elsewhere")
    (home / "Train/0002").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="0002"):
        HITSZVCM(home)


def test_a_length_that_leaves_nothing_and_shared_identities_are_refused(tree):
    home = tree.write()
    with pytest.raises(ValueError, match="MIN_TRACKLET_LENGTH"):
        HITSZVCM(home, min_length=13)
    tree.track("train", VISIBLE, 504, 1)
    tree.write()
    with pytest.raises(ValueError, match="504"):
        HITSZVCM(home)
