import pytest

from xreid_plugin.data.synthetic.settings import SyntheticSettings
from xreid_plugin.data.synthetic.staging import MARK, staged

SETTINGS = SyntheticSettings()


def fill(root, content="new", *, overwrite=False):
    with staged(root, "vcm", SETTINGS, overwrite=overwrite) as partial:
        (partial / "file").write_text(content)


def test_a_set_appears_whole_and_leaves_nothing_beside_it(tmp_path):
    with staged(tmp_path / "deep" / "set", "vcm", SETTINGS, overwrite=False) as partial:
        (partial / "file").write_text("new")
        assert not (tmp_path / "deep" / "set").exists()
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["set"]
    assert {entry.name for entry in (tmp_path / "deep" / "set").iterdir()} == {"file", MARK}


def test_an_error_on_the_way_leaves_the_old_set_and_no_part_of_the_new(tmp_path):
    fill(tmp_path / "set", "old")

    def fail():
        with staged(tmp_path / "set", "vcm", SETTINGS, overwrite=True) as partial:
            (partial / "file").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "set" / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    fill(tmp_path / "set")
    assert (tmp_path / "set" / "file").read_text() == "new"


def test_a_set_is_replaced_only_when_allowed(tmp_path):
    fill(tmp_path / "set", "old")
    with pytest.raises(FileExistsError, match="--overwrite"):
        fill(tmp_path / "set")
    fill(tmp_path / "set", overwrite=True)
    assert (tmp_path / "set" / "file").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_but_a_synthetic_set_is_ever_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    with pytest.raises(FileExistsError, match="no synthetic set"):
        fill(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"


def test_a_file_in_the_place_of_the_set_is_refused(tmp_path):
    (tmp_path / "set").write_text("a file")
    with pytest.raises(FileExistsError, match="not a folder"):
        fill(tmp_path / "set", overwrite=True)
