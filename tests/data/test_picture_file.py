import os

import pytest

from xreid_plugin.data.image_header import PictureError
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
