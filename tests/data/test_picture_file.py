import os

import pytest

from xreid_plugin.data.image_header import PictureError
from xreid_plugin.data.links import LinkError
from xreid_plugin.data.picture_file import read_picture_file


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "picture").write_bytes(bytes(range(256)) * 5)
    return tmp_path / "picture"


def test_a_file_that_comes_in_parts_is_read_whole(picture, monkeypatch):
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 100)))
    content = read_picture_file(str(picture))
    monkeypatch.undo()
    assert content == picture.read_bytes()


def test_a_file_that_ends_before_its_declared_size_is_not_waited_for(picture, monkeypatch):
    read, whole = os.read, picture.read_bytes()

    def read_while_another_cuts(descriptor, size):
        os.truncate(picture, 300)
        return read(descriptor, min(size, 100))

    monkeypatch.setattr(os, "read", read_while_another_cuts)
    content = read_picture_file(str(picture))
    monkeypatch.undo()
    assert content == whole[:300]


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (("pipe", "it is no file"), ("none", "it is missing")):
        with pytest.raises(PictureError, match=problem):
            read_picture_file(str(tmp_path / name))


@pytest.fixture
def home(tmp_path):
    """A dataset's folder that is reached by a link, with a folder of frames that is a link as well."""
    (tmp_path / "disk/train").mkdir(parents=True)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/Train").symlink_to(tmp_path / "disk/train")
    (tmp_path / "home").symlink_to("copy")
    return tmp_path / "home"


def test_links_within_a_dataset_are_followed(home):
    (home / "spare.jpg").write_bytes(b"spare")
    (home / "Train/1.jpg").write_bytes(b"first")
    (home / "Train/2.jpg").symlink_to("1.jpg")
    (home / "Train/3.jpg").symlink_to(home / "Train/2.jpg")
    (home / "Train/4.jpg").symlink_to(home.resolve() / "spare.jpg")
    read = [read_picture_file(str(home / f"Train/{number}.jpg"), str(home)) for number in range(1, 5)]
    assert read == [b"first", b"first", b"first", b"spare"]


@pytest.mark.parametrize("target", ["outside.jpg", "copy-of/frame.jpg", "disk/frame.jpg", "none.jpg"])
def test_a_link_out_of_a_dataset_is_refused_whether_or_not_a_file_is_there(home, tmp_path, target):
    (tmp_path / "copy-of").mkdir()
    if target != "none.jpg":
        (tmp_path / target).write_bytes(b"another's")
    frame = home / "Train/1.jpg"
    frame.symlink_to(tmp_path / target)
    (home / "Train/2.jpg").symlink_to("1.jpg")
    for path in (frame, home / "Train/2.jpg"):
        with pytest.raises(LinkError, match=rf"a link to {tmp_path / target}, outside {home}: .*check_dataset\.py"):
            read_picture_file(str(path), str(home))
    if target != "none.jpg":
        # What no list has named may lie where its owner likes.
        assert read_picture_file(str(frame)) == b"another's"


def test_a_link_that_leads_nowhere_is_a_bad_frame(home):
    (home / "Train/1.jpg").symlink_to("none.jpg")
    (home / "Train/2.jpg").symlink_to("2.jpg")
    for name, problem in (("1.jpg", "it is missing"), ("2.jpg", "it cannot be read")):
        with pytest.raises(PictureError, match=problem):
            read_picture_file(str(home / "Train" / name), str(home))


def test_the_file_that_was_looked_at_is_the_one_that_is_read(home, tmp_path, monkeypatch):
    (tmp_path / "outside.jpg").write_bytes(b"another's")
    real = home.resolve() / "1.jpg"
    real.write_bytes(b"own")
    (home / "Train/1.jpg").symlink_to(real)
    follow = os.path.realpath

    def and_swap(path):
        found = follow(path)
        if found == str(real):
            real.unlink()
            real.symlink_to(tmp_path / "outside.jpg")
        return found

    monkeypatch.setattr(os.path, "realpath", and_swap)
    with pytest.raises(PictureError, match="it cannot be read"):
        read_picture_file(str(home / "Train/1.jpg"), str(home))
