import pytest

from tests.data.datasets.trees import INFRARED, VISIBLE, VcmTree, small_vcm
from xreid_plugin.data.check import check_dataset, one_sided_identities
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


def test_counts_that_differ_are_a_failure_and_are_not_compared_for_a_part_of_a_copy(tree):
    tree.write()
    report = check(tree, compare_counts=True)
    what = "counts differ from a full copy (see --no-counts)"
    number, examples = failures(report)[what]
    assert number == sum(full not in (None, found) for _, found, full in report.counts)
    assert len(examples) == 5
    assert "train identities: 2, not 500" in examples
    assert str(report).count("differs") == number
    part = check(tree)
    assert [row[:2] for row in part.counts] == [row[:2] for row in report.counts]
    assert what not in notes(part)
    assert "differs" not in str(part)
    assert "full copy" not in str(part)


def test_one_is_told_in_the_singular(tree):
    home = tree.write()
    (home / "Train/0007/rgb/D3/5.jpg").unlink()
    assert "FAILURE: 1 frame is missing\n" in str(check(tree))
    (home / "Train/0007/rgb/D3/6.jpg").unlink()
    assert "FAILURE: 2 frames are missing\n" in str(check(tree))


def test_a_frame_is_a_failure_once(tree):
    home = tree.write()
    (home / "Train/0007/rgb/D3/5.jpg").unlink()
    (home / "Test/0504/ir/D12/30.jpg").write_bytes(b"")
    missing = {"frames are missing": (1, [f"{home}/Train/0007/rgb/D3/5.jpg"])}
    assert failures(check(tree)) == missing
    broken = {"frames cannot be decoded": (1, [f"{home}/Test/0504/ir/D12/30.jpg: it is empty"])}
    assert failures(check(tree, deep=True)) == missing | broken


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
