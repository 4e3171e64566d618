import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.gallery.records import FRAMES_KEPT, FrameRef, GalleryError, Record, parse_time, some

FRAMES = st.one_of(
    st.builds(FrameRef, st.text(), st.none(), st.none()),
    st.builds(FrameRef, st.text(), st.integers(0, 10**6), st.tuples(*[st.floats(-1e6, 1e6)] * 4)),
)


@given(
    st.builds(
        Record,
        identity=st.text(),
        source=st.text(),
        camera=st.none() | st.integers(-(2**40), 2**40),
        time=st.none() | st.floats(0, 1e10),
        frames=st.lists(FRAMES, max_size=4).map(tuple),
    )
)
def test_a_record_is_one_line_and_comes_back(record):
    line = record.to_json()
    assert b"\n" not in line
    assert Record.from_json(line) == record


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"frames": [[]]}', b'{"frames": [], "age": 3}', b"\xff"])
def test_other_lines_are_no_records(line):
    with pytest.raises(ValueError, match="cannot be read"):
        Record.from_json(line)


def test_some_frames_are_spread_evenly():
    frames = [FrameRef(str(number)) for number in range(12)]
    assert [frame.path for frame in some(frames)] == ["0", "2", "4", "6", "8", "10"]
    assert some(frames[:FRAMES_KEPT]) == tuple(frames[:FRAMES_KEPT])
    assert some([]) == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("12.5", 12.5),
        ("1970-01-01T00:01:00", 60),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86400),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["noon", "nan", "inf", "1e20"])
def test_no_times(text):
    with pytest.raises(GalleryError, match="is no time"):
        parse_time(text)
