"""Equal arguments give equal bytes; so does any number of workers and any hash seed."""

import pytest

from xreid_plugin.data.synthetic import SyntheticSettings, write_bupt, write_vcm

SMALL = {"train_identities": 2, "test_identities": 1, "cameras": 2, "tracklets": 2, "frames": (12, 14)}


def contents(root):
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    root = tmp_path_factory.mktemp("first") / "set"
    write_vcm(SyntheticSettings(**SMALL), root)
    return contents(root)


def test_other_processes_with_another_hash_seed_write_the_same_bytes(first, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "123")  # Workers inherit it.
    write_vcm(SyntheticSettings(**SMALL), tmp_path / "set", workers=2)
    assert contents(tmp_path / "set") == first


def test_another_seed_draws_other_people(first, tmp_path):
    write_vcm(SyntheticSettings(**SMALL, seed=1), tmp_path / "set")
    other = contents(tmp_path / "set")
    shared = [name for name in first if name.endswith(".jpg") and name in other]
    assert len(shared) > 50
    assert all(first[name] != other[name] for name in shared)


def test_bupt_is_repeatable(tmp_path):
    for name in ("one", "two"):
        write_bupt(SyntheticSettings(**SMALL), tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
