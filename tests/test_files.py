"""Files that appear whole or not at all."""

import os
import resource
import subprocess
import sys

import pytest

from xreid_plugin.files import in_words, remove_leftovers, replace_atomically


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
        with pytest.raises(OSError, match=r"2\.0 KiB needed") as error:
            replace_atomically(target, lambda part: part.write_bytes(bytes(2000)), needed=2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(target) in str(error.value)
    assert names(tmp_path) == ["file"]
    assert target.read_text() == "old"


def test_sizes_in_words():
    assert [in_words(size) for size in (0, 1023, 1536, 2**51)] == ["0 B", "1023 B", "1.5 KiB", "2048.0 TiB"]


def test_leftovers_are_those_of_processes_that_are_gone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours = [f"model_0001.pth.{gone.pid}.part", f"last_checkpoint.{os.getpid()}.part"]
    others = [f"model_0002.pth.{os.getppid()}.part", "download.part", "notes.12a.part", "model.pth"]
    for name in [*ours, *others]:
        (tmp_path / name).write_text("half")
    assert sorted(path.name for path in remove_leftovers(tmp_path)) == sorted(ours)
    assert names(tmp_path) == sorted(others)
