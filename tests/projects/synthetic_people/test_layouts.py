"""Written sets: whole for their readers, the same for the same settings, and never over what is somebody's."""

import pytest

from projects.SyntheticPeople import SyntheticSettings, write_bupt, write_vcm
from xreid_plugin.data.check import check_dataset
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM

SETTINGS = SyntheticSettings(train_identities=3, test_identities=2, cameras=3, tracklets=3, frames=(12, 13))
SMALL = {
    "train_identities": 2,
    "test_identities": 1,
    "cameras": 2,
    "tracklets": 2,
    "frames": (12, 12),
    "size": (48, 24),
}


def contents(root):
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(
    ("write", "dataset", "options"),
    [(write_vcm, HITSZVCM, {"min_length": 1}), (write_bupt, BUPTCampus, {"auxiliary": True})],
)
def test_lists_agree_with_the_files_and_every_query_has_a_match_in_another_camera(tmp_path, write, dataset, options):
    write(SETTINGS, tmp_path / "set")
    found = dataset(tmp_path / "set", **options)
    assert {"I2V", "V2I"} <= set(found.tasks)
    assert len(found.train_identities) == (3 if dataset is HITSZVCM else 4)
    report = check_dataset(found, compare_counts=False, deep=True)
    assert not report.failed
    assert not [finding for finding in report.findings if "own camera" in finding.what]


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
