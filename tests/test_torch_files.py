import pickle
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import Hostile
from xreid_plugin.torch_files import WeightFileError, load_checkpoint, load_torch_file, noted_checkpoint

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_is_read_and_a_hostile_one_is_refused_in_one_line(tmp_path, zipped, mapped):
    torch.save({"model": WEIGHTS, "epoch": 3}, tmp_path / "good.pth", _use_new_zipfile_serialization=zipped)
    content = load_checkpoint(tmp_path / "good.pth", mapped)
    assert content["epoch"] == 3
    assert torch.equal(content["model"]["layer.weight"], WEIGHTS["layer.weight"])
    bad = {"model": WEIGHTS, "extra": Hostile(tmp_path / "mark")}
    torch.save(bad, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightFileError, match=r"bad\.pth is refused"):
        load_torch_file(tmp_path / "bad.pth", mapped)
    assert not (tmp_path / "mark").exists()


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"model": Hostile(tmp_path / "mark")}))
    with pytest.raises(WeightFileError, match=r"bare\.pth"):
        load_torch_file(tmp_path / "bare.pth")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"state_dict": WEIGHTS},
        {"model": {3: torch.ones(1)}},
        {"model": {"a": 3}},
        {"model": {"a": torch.ones(2, 2).to_sparse()}},
        {"model": {"a": torch.ones(1).expand(10**12)}},
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightFileError, match=r"other\.pth"):
        load_checkpoint(tmp_path / "other.pth")


def test_an_archive_that_would_unpack_to_more_than_it_holds_is_refused(tmp_path):
    torch.save({"model": {"a": torch.zeros(100_000)}}, tmp_path / "plain.pth")
    load_checkpoint(tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightFileError, match=r"bomb\.pth is refused"):
        load_checkpoint(tmp_path / "bomb.pth")


@pytest.fixture(scope="module")
def checkpoint_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
    found = []
    for zipped in (True, False):
        torch.save({"model": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
        found.append(path.read_bytes())
    return path, found


@settings(max_examples=100, deadline=None)
@given(
    mapped=st.booleans(),
    zipped=st.integers(0, 1),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    kept=st.floats(0, 1),
)
def test_a_damaged_checkpoint_is_read_or_refused(checkpoint_bytes, mapped, zipped, flips, kept):
    path, originals = checkpoint_bytes
    content = bytearray(originals[zipped])
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(content[: len(content) if kept > 0.3 else int(len(content) * kept * 3)])
    message = ""
    try:
        found = load_checkpoint(path, mapped)
    except WeightFileError as error:
        found, message = None, str(error)
    if found is None:
        assert str(path) in message
        assert "\n" not in message
    else:
        assert all(isinstance(value, torch.Tensor) for value in found["model"].values())


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"../model.pth", b"/etc/passwd", b"a\nb", b"..", b"a\0b"])
def test_a_note_that_names_no_file_of_its_folder_is_refused(tmp_path, note):
    (tmp_path / "last_checkpoint").write_bytes(b"model_1.pth\n")
    assert noted_checkpoint(tmp_path) == tmp_path / "model_1.pth"
    (tmp_path / "last_checkpoint").write_bytes(note)
    with pytest.raises(WeightFileError, match="last_checkpoint"):
        noted_checkpoint(tmp_path)
