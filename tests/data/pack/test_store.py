import lmdb
import pytest

from tests.data.pack.packs import SIZE, pack_set
from xreid_plugin.data.pack.format import PackError
from xreid_plugin.data.pack.store import open_pack


def test_a_pack_says_what_it_holds(tmp_path):
    dataset, file = pack_set(tmp_path, SIZE)
    pack = open_pack(file)
    assert (pack.info.dataset, pack.info.size, pack.info.count, pack.info.complete) == ("HITSZVCM", SIZE, 96, True)
    assert "Train/0007/rgb/D3/5.jpg" in pack
    assert "Train/0007/rgb/D3/55.jpg" not in pack
    assert dataset.train[0].paths[0] not in pack
    assert len(list(pack.items())) == 96


def test_a_file_is_opened_once_however_it_is_called(tmp_path):
    _, file = pack_set(tmp_path, None)
    (tmp_path / "link.pack").symlink_to(file)
    assert open_pack(file) is open_pack(tmp_path / "link.pack")


def test_a_pack_on_a_read_only_disk_serves(tmp_path):
    _, file = pack_set(tmp_path, None)
    before = set(tmp_path.iterdir())
    file.chmod(0o444)
    assert len(list(open_pack(file).items())) == 96
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_was_cut_off_is_refused_and_does_not_kill_the_process(tmp_path):
    _, file = pack_set(tmp_path, SIZE)
    whole = file.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 2 * 4096, 4096, 100, 0):
        file.write_bytes(whole[:length])
        with pytest.raises(PackError, match=r"set\.pack"):
            open_pack(file)


def test_what_is_no_pack_is_refused(tmp_path):
    file = tmp_path / "x.pack"
    file.write_bytes(b"no database" * 2000)
    with pytest.raises(PackError, match=r"x\.pack cannot be opened as a pack"):
        open_pack(file)
    file.unlink()
    with lmdb.open(str(file), subdir=False, lock=False) as other, other.begin(write=True) as transaction:
        transaction.put(b"some", b"thing")
    with pytest.raises(PackError, match=r"x\.pack is an LMDB file, but no pack"):
        open_pack(file)


def test_an_absent_pack_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no pack .*x\.pack: make it \(tools/pack_dataset\.py"):
        open_pack(tmp_path / "x.pack")
    (tmp_path / "x.pack.part").touch()
    with pytest.raises(FileNotFoundError, match=r"packing was cut off .*repeat its command"):
        open_pack(tmp_path / "x.pack")
