import lmdb

from tests.data.pack.packs import KINDS, damage, pack_set
from xreid_plugin.data.pack.verify import verify_pack


@KINDS
def test_a_sound_pack_has_no_problem(tmp_path, packed_size):
    _, file = pack_set(tmp_path, packed_size)
    assert verify_pack(file) == (96, [])


@KINDS
def test_a_damaged_frame_is_named(tmp_path, packed_size):
    _, file = pack_set(tmp_path, packed_size)
    damage(file, "Test/0504/ir/D12/30.jpg")
    frames, problems = verify_pack(file)
    assert frames == 96
    assert problems == ["frame Test/0504/ir/D12/30.jpg: its checksum does not agree with its bytes"]


def test_a_frame_that_is_gone_is_found(tmp_path):
    _, file = pack_set(tmp_path, None)
    with lmdb.open(str(file), subdir=False, lock=False) as pack, pack.begin(write=True) as transaction:
        assert transaction.delete(b"Test/0504/ir/D12/30.jpg")
    assert verify_pack(file) == (95, ["95 frames are there, not the 96 that were packed"])


def test_a_broken_structure_is_found_without_reading_it(tmp_path):
    _, file = pack_set(tmp_path, None)
    content = bytearray(file.read_bytes())
    place = content.index(b"Test/0504/ir/D12/30.jpg")
    content[place - 8 : place] = b"\xff" * 8  # the node before its key: size and flags
    file.write_bytes(content)
    frames, problems = verify_pack(file)
    assert frames == 0
    assert problems[0].startswith("structure of the file: ")
