import os

import pytest

from tests.data.datasets.trees import INFRARED, VISIBLE, VcmTree, small_vcm
from xreid_plugin.data.check import check_dataset, count_copy, doubts
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


@pytest.fixture
def tree(tmp_path):
    return small_vcm(tmp_path)


def check(tree, **options):
    return check_dataset(HITSZVCM(tree.home), **{"compare_counts": False, **options})


def failures(report):
    return {finding.what: list(finding.cases) for finding in report.findings if finding.failure}


def notes(report):
    return {finding.what: list(finding.cases) for finding in report.findings if not finding.failure}


def test_counts_are_compared_with_a_full_copy_unless_the_filter_is_another(tree):
    home = tree.write()
    counts = {name: (found, full) for name, found, full in count_copy(HITSZVCM(home))}
    assert counts["identities of training"] == (2, 500)
    assert counts["identities of test"] == (2, 427)
    assert counts["train infrared frames"] == (24, 98_214)
    assert counts["I2V gallery visible tracklets"] == (2, 5_099)
    assert counts["V2I query visible tracklets"] == (2, None)
    report = check(tree, compare_counts=True)
    [differing] = failures(report).values()
    assert "identities of training: 2, not 500" in differing
    assert len(differing) == sum(full not in (None, found) for found, full in counts.values())
    assert not check_dataset(HITSZVCM(home, min_length=1)).failed


def test_what_makes_metrics_incomparable_is_told_but_not_of_drawn_people(tree):
    tree.query = "1"
    home = tree.write()
    counts, misplaced = "I2V query infrared tracklets: 1, not 4584", "I2V tracklets on the side of the other modality"
    told = doubts(HITSZVCM(home))
    assert counts in told
    assert any(misplaced in line for line in told)
    assert all(misplaced in line or "V2I" in line for line in doubts(HITSZVCM(home, min_length=1)))
    (home / "synthetic.json").write_text("{}")
    assert doubts(HITSZVCM(home)) == []


def test_one_sided_identities_and_misplaced_tracklets_are_told(tree):
    tree.track("train", INFRARED, 30, 1)
    tree.track("train", VISIBLE, 31, 1)
    tree.query = "1"
    tree.write()
    found = failures(check(tree))
    assert found["training identities in one modality only"] == [
        "identity 30: infrared only",
        "identity 31: visible only",
    ]
    for task in ("I2V", "V2I"):
        assert found[f"{task} tracklets on the side of the other modality"] == ["test00003_0504M1D12"]


def test_missing_and_broken_frames_are_failures_once(tree):
    home = tree.write()
    (home / "Train/0007/rgb/D3/5.jpg").unlink()
    for frame in (home / "Test/0504/ir/D12").iterdir():
        frame.unlink()
    (home / "Test/0504/ir/D12").rmdir()
    (home / "Test/0503/ir/D1/2.jpg").write_bytes(b"")
    missing = [f"{home}/Train/0007/rgb/D3/5.jpg", *(f"{home}/Test/0504/ir/D12/{frame}.jpg" for frame in range(25, 37))]
    assert failures(check(tree)) == {"frames missing": missing}
    for workers in (0, 1, 3):
        found = failures(check(tree, deep=True, workers=workers))
        assert found.pop("frames missing") == missing
        [[line]] = found.values()
        assert line.startswith(f"{home}/Test/0503/ir/D1/2.jpg: ")


def test_queries_without_match_are_failures_of_their_task_and_those_in_their_own_camera_notes(tmp_path):
    tree = VcmTree(tmp_path)
    for modality in (VISIBLE, INFRARED):
        tree.track("train", modality, 1, 1)
    tree.track("test", INFRARED, 10, 1)
    tree.track("test", VISIBLE, 10, 2)
    tree.track("test", INFRARED, 11, 1)
    tree.track("test", VISIBLE, 12, 2)
    tree.track("test", INFRARED, 13, 1)
    tree.track("test", VISIBLE, 13, 1)
    tree.query = "1 3 5"
    tree.write()
    report = check(tree)
    assert failures(report) == {
        "I2V queries without a match in the gallery": ["test00003_0011M1D1"],
        "V2I queries without a match in the gallery": ["test00004_0012M2D2"],
    }
    assert notes(report) == {
        "test tracklets from cameras that training never shows": [
            "test00002_0010M2D2: camera 2",
            "test00004_0012M2D2: camera 2",
        ],
        "I2V queries left out by 'exclude', with matches in their own camera only": ["test00005_0013M1D1"],
        "V2I queries left out by 'exclude', with matches in their own camera only": ["test00006_0013M2D1"],
    }


def test_a_folder_that_may_not_be_read_is_not_called_missing(tree):
    dataset = HITSZVCM(tree.write())
    folder, user = dataset.home / "Test", os.geteuid()
    folder.chmod(0)
    # The superuser may read everything.
    os.seteuid(user or 65534)
    try:
        with pytest.raises(PermissionError):
            check_dataset(dataset)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
