"""Files that appear whole or not at all."""

import resource

import pytest

from xreid_plugin.files import in_words, replace_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")

    def write(part):
        part.write_text("new")
        assert target.read_text() == "old"

    replace_atomically(target, write)
    assert names(tmp_path) == ["file"]
    assert target.read_text() == "new"


def test_a_file_that_is_too_large_for_the_system_leaves_the_old_one(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="free") as error:
            replace_atomically(target, lambda part: part.write_bytes(bytes(2000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(target) in str(error.value)
    assert names(tmp_path) == ["file"]
    assert target.read_text() == "old"


def test_sizes_in_words():
    assert [in_words(size) for size in (0, 1023, 1536, 2**51)] == ["0 B", "1023 B", "1.5 KiB", "2048.0 TiB"]
