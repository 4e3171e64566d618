import pytest

from tests.data.datasets.trees import INFRARED, VISIBLE, VcmTree, small_bupt, small_vcm
from xreid_plugin.data.check import check_dataset, missing_frames, one_sided_identities, unreadable_frames
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


@pytest.fixture
def tree(tmp_path):
    return small_vcm(tmp_path)


def check(tree, **options):
    return check_dataset(HITSZVCM(tree.home), **{"compare_counts": False, **options})


def failures(report):
    return {finding.what: (finding.count, list(finding.examples)) for finding in report.findings if finding.failure}


def notes(report):
    return {finding.what: (finding.count, list(finding.examples)) for finding in report.findings if not finding.failure}


def test_a_clean_copy_has_no_failure(tree):
    tree.write()
    report = check(tree, deep=True)
    assert failures(report) == {}
    assert not report.failed
    assert str(report).endswith("The copy is clean.")


def test_counts_stand_beside_those_of_a_full_copy(tree):
    tree.write()
    report = check(tree, compare_counts=True)
    counts = {name: (found, full) for name, found, full in report.counts}
    assert counts["train identities"] == (2, 500)
    assert counts["test identities"] == (2, 427)
    assert counts["train tracklets listed"] == (4, 11_061)
    assert counts["train infrared frames"] == (24, 98_214)
    assert counts["I2V gallery visible tracklets"] == (2, 5_099)
    assert counts["V2I query visible tracklets"] == (2, None)
    number, examples = failures(report)["counts differ from a full copy (see --no-counts)"]
    assert number == sum(full is not None for _, full in counts.values())
    assert len(examples) == 5
    assert "train identities: 2, not 500" in examples


def test_another_length_filter_compares_only_what_it_leaves_alone(tree):
    tree.write()
    report = check_dataset(HITSZVCM(tree.home, min_length=1))
    assert {name for name, _, full in report.counts if full is not None} == {
        "train tracklets listed",
        "I2V query tracklets listed",
        "I2V gallery tracklets listed",
    }


def test_the_auxiliary_set_is_expected_when_it_was_asked_for(tmp_path):
    small_bupt(tmp_path).write()
    report = check_dataset(BUPTCampus(tmp_path, auxiliary=True))
    full = {name: full for name, _, full in report.counts}
    assert full["train identities"] == 1_074 + 930
    assert full["train visible frames"] == 398_069 + 104_575
    assert full["test identities"] == 1_076


def test_missing_frames_and_folders_are_named(tree):
    home = tree.write()
    (home / "Train/0007/rgb/D3/5.jpg").unlink()
    for frame in (home / "Test/0504/ir/D12").iterdir():
        frame.unlink()
    (home / "Test/0504/ir/D12").rmdir()
    (home / "Test/0503/ir/D1/2.jpg").unlink()
    (home / "Test/0503/ir/D1/2.jpg").mkdir()
    dataset = HITSZVCM(home)
    assert missing_frames([*dataset.train, *dataset.test]) == [
        f"{home}/Train/0007/rgb/D3/5.jpg",
        f"{home}/Test/0503/ir/D1/2.jpg",
        *(f"{home}/Test/0504/ir/D12/{frame}.jpg" for frame in range(25, 37)),
    ]
    number, examples = failures(check(tree, deep=True))["frames are missing"]
    assert number == 14
    assert len(examples) == 5
    assert "frames cannot be decoded" not in failures(check(tree, deep=True))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_frames_that_cannot_be_decoded_are_named(tree, workers):
    home = tree.write()
    cut = home / "Train/0007/rgb/D3/5.jpg"
    cut.write_bytes(cut.read_bytes()[:-60])
    (home / "Test/0504/ir/D12/30.jpg").write_bytes(b"")
    dataset = HITSZVCM(home)
    broken = unreadable_frames([*dataset.train, *dataset.test], set(), workers)
    assert [line.split(": ")[0] for line in broken] == [str(cut), f"{home}/Test/0504/ir/D12/30.jpg"]
    assert [line.split(": ")[1] for line in broken] == ["it was cut off", "it is empty"]
    assert unreadable_frames(dataset.train, {str(cut)}, workers) == []
    assert failures(check(tree)) == {}
    assert failures(check(tree, deep=True))["frames cannot be decoded"] == (2, broken)


def test_queries_without_match_are_failures_of_their_task(tmp_path):
    tree = VcmTree(tmp_path)
    for modality in (VISIBLE, INFRARED):
        tree.track("train", modality, 1, 1)
    tree.track("test", INFRARED, 10, 1)
    tree.track("test", VISIBLE, 10, 2)
    tree.track("test", INFRARED, 11, 1)
    tree.track("test", VISIBLE, 12, 2)
    tree.track("test", VISIBLE, 13, 2)
    tree.query = "1 3"
    tree.write()
    assert failures(check(tree)) == {
        "I2V queries have no match in the gallery": (1, ["test00003_0011M1D1"]),
        "V2I queries have no match in the gallery": (2, ["test00004_0012M2D2", "test00005_0013M2D2"]),
    }


def test_matches_in_the_querys_own_camera_are_notes(tmp_path):
    tree = VcmTree(tmp_path)
    for modality in (VISIBLE, INFRARED):
        tree.track("train", modality, 1, 1)
    tree.track("test", INFRARED, 10, 1)
    tree.track("test", VISIBLE, 10, 1)
    tree.track("test", VISIBLE, 10, 1)
    tree.track("test", INFRARED, 11, 1)
    tree.track("test", VISIBLE, 11, 1)
    tree.track("test", VISIBLE, 11, 2)
    tree.query = "1 4"
    tree.write()
    report = check(tree)
    assert failures(report) == {}
    found = notes(report)
    dropped = "queries have matches in their own camera only; the 'exclude' protocol leaves them out"
    assert found[f"I2V {dropped}"] == (1, ["test00001_0010M1D1"])
    assert found[f"V2I {dropped}"] == (3, ["test00002_0010M2D1", "test00003_0010M2D1", "test00005_0011M2D1"])
    pairs = next(what for what in found if what.startswith("I2V pairs show"))
    assert "over 2 queries" in pairs
    assert found[pairs] == (3, ["test00001_0010M1D1", "test00004_0011M1D1"])
    assert found["test tracklets come from cameras that training never shows"][0] == 1


def test_identities_of_one_modality_are_named_by_the_datasets_number(tree):
    tree.track("train", INFRARED, 30, 1)
    tree.track("train", VISIBLE, 31, 1)
    tree.write()
    dataset = HITSZVCM(tree.home)
    assert one_sided_identities(dataset) == ["identity 30: infrared only", "identity 31: visible only"]
    assert failures(check_dataset(dataset, compare_counts=False)) == {
        "training identities are seen in one modality only": (2, one_sided_identities(dataset))
    }


def test_an_infrared_tracklet_left_out_of_the_queries_stands_on_the_wrong_side(tree):
    tree.query = "1"
    tree.write()
    found = failures(check(tree))
    assert found["I2V tracklets stand on the side of the other modality"] == (1, ["test00003_0504M1D12"])
    assert found["V2I tracklets stand on the side of the other modality"] == (1, ["test00003_0504M1D12"])


def test_stray_frames_are_a_note(tree):
    tree.names["train"][0] = "0009M2D3T1F1.jpg"
    tree.write()
    report = check(tree)
    assert not report.failed
    assert notes(report)["tracklets hold frames of another identity, camera or modality"][0] == 1
