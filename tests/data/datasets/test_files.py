import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.datasets.files import FramePaths, MetadataError, find_root, natural_number, read_lines

RELATIVE = st.lists(st.text(st.sampled_from("ab/1."), min_size=1, max_size=8), min_size=1, max_size=6)


@given(relative=RELATIVE, start=st.integers(-7, 7), stop=st.integers(-7, 7), step=st.sampled_from([-2, -1, 1, 3]))
def test_frame_paths_behave_as_the_plain_list(relative, start, stop, step):
    plain = [f"/data/{path}" for path in relative]
    packed = FramePaths.below(Path("/data"), relative)
    assert list(packed) == plain
    assert len(packed) == len(plain)
    assert [packed[index] for index in range(-len(plain), len(plain))] == plain + plain
    assert packed[start:stop:step] == plain[start:stop:step]
    assert pickle.loads(pickle.dumps(packed)) == packed
    with pytest.raises(IndexError):
        packed[len(plain)]


def test_frame_paths_pickle_small():
    relative = [f"0001/rgb/D3/{frame}.jpg" for frame in range(100, 124)]
    packed = FramePaths.below(Path("/data/HITSZ-VCM/Train"), relative)
    assert len(pickle.dumps(packed)) < len(pickle.dumps(list(packed))) / 2


def test_find_root_takes_the_folder_itself_or_the_one_that_holds_it(tmp_path):
    home = tmp_path / "Set"
    home.mkdir()
    (home / "marker.txt").touch()
    assert find_root(home, "Set", ["marker.txt"], "") == home
    assert find_root(str(tmp_path), "Set", ["other.txt", "marker.txt"], "") == home


def test_find_root_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        find_root(tmp_path, "Set", ["marker.txt"], "Ask its authors.")
    message = str(error.value)
    for part in (
        "marker.txt",
        f"{tmp_path} ",
        str(tmp_path / "Set"),
        "Ask its authors.",
        "DATASETS.ROOT",
        "FASTREID_DATASETS",
        "make demo",
    ):
        assert part in message


def test_read_lines_forgives_blanks_at_the_end_and_foreign_line_endings(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfone two \r\nthree\r\n\r\n")
    assert read_lines(file) == ["one two", "three"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "empty"), (b"\n \n", "empty"), (b"a\n\nb\n", "line 2: '': a blank line"), (b"\xff\xfe\x00", "plain text")],
)
def test_read_lines_refuses_what_is_no_list(tmp_path, content, expected):
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    with pytest.raises(MetadataError, match=expected):
        read_lines(file)


def test_read_lines_names_a_missing_list(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"list\.txt is missing"):
        read_lines(tmp_path / "list.txt")


@pytest.mark.parametrize("text", ["+1", "-1", "1_0", "²", "1.0", "", "٣", "1" * 19])
def test_natural_number_refuses_what_only_int_would_take(text):
    assert natural_number(text) is None


def test_natural_number_forgives_leading_zeros():
    assert natural_number("0001") == 1


def test_a_long_line_is_cut_in_the_message():
    message = str(MetadataError.at(Path("list.txt"), 3, "x" * 10_000, "expected less"))
    assert message.startswith("list.txt, line 3: 'xxx")
    assert message.endswith("expected less")
    assert len(message) < 200
