import os
import resource
import shutil
import subprocess
import sys

import pytest

from xreid_plugin.files import WriteError, free_bytes, in_words, remove_leftovers, replace_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    happened = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        happened.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note_sync)
    rename = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", lambda self, to: (happened.append("rename"), rename(self, to))[1])
    replace_atomically(tmp_path / "file", lambda part: part.write_text("new"))
    assert happened == [str(tmp_path / f"file.{os.getpid()}.part"), "rename", str(tmp_path)]
    assert replace is os.replace


def test_a_file_that_is_too_large_for_the_system_is_an_error_with_path_and_space(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(WriteError) as error:
            replace_atomically(target, lambda part: part.write_bytes(bytes(2000)), needed=2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(target) in str(error.value)
    assert "File too large" in str(error.value)
    assert "and 2.0 KiB needed" in str(error.value)
    assert names(tmp_path) == ["file"]
    assert target.read_text() == "old"


def test_what_cannot_fit_is_not_begun(tmp_path):
    begun = []
    with pytest.raises(WriteError, match=r"file could not be written: not enough space \(.* free and .* needed\)"):
        replace_atomically(tmp_path / "file", begun.append, needed=2 * free_bytes(tmp_path))
    assert begun == []


def test_where_nobody_can_tell_the_free_space_it_is_tried(tmp_path, monkeypatch):
    def unknown(folder):
        raise PermissionError

    monkeypatch.setattr(shutil, "disk_usage", unknown)
    replace_atomically(tmp_path / "file", lambda part: part.write_text("new"), needed=3)
    assert (tmp_path / "file").read_text() == "new"


def test_a_missing_folder_is_no_full_disk(tmp_path):
    with pytest.raises(WriteError, match=r"file could not be written: No such file or directory \(3 B needed\)\."):
        replace_atomically(tmp_path / "gone" / "file", lambda part: part.write_text("new"), needed=3)


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path):
    def fail(part):
        raise RuntimeError("no state")

    with pytest.raises(RuntimeError, match="no state"):
        replace_atomically(tmp_path / "file", fail)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**30, "1.0 GiB"), (2**51, "2048.0 TiB")]
)
def test_sizes_in_words(size, words):
    assert in_words(size) == words


def test_leftovers_are_those_of_processes_that_are_gone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours = [f"model_0001.pth.{gone.pid}.part", f"last_checkpoint.{os.getpid()}.part"]
    others = [f"model_0002.pth.{os.getppid()}.part", "download.part", "notes.12a.part", "model.pth", ".7.part"]
    for name in [*ours, *others]:
        (tmp_path / name).write_text("half")
    (tmp_path / f"folder.{gone.pid}.part").mkdir()
    assert sorted(path.name for path in remove_leftovers(tmp_path)) == sorted(ours)
    assert names(tmp_path) == sorted([*others, f"folder.{gone.pid}.part"])
