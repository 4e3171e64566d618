import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.boxes import Boxes
from xreid_plugin.data.footage import FootageError

NUMBERS = st.floats(-1e6, 1e6)
BOX = st.tuples(NUMBERS, NUMBERS, st.floats(0.5, 1e6), st.floats(0.5, 1e6))


@given(st.lists(BOX, min_size=1, max_size=8), st.data())
def test_a_file_and_an_array_are_the_same_boxes(tmp_path_factory, drawn, data):
    frames = sorted(data.draw(st.sets(st.integers(0, 10**9), min_size=len(drawn), max_size=len(drawn))))
    table = [(frame, x, y, x + width, y + height) for frame, (x, y, width, height) in zip(frames, drawn, strict=True)]
    path = tmp_path_factory.mktemp("boxes") / "boxes.csv"
    path.write_text(
        "\ufeffname,x2,y2,frame,x1,y1\n" + "".join(f"a,{r[3]},{r[4]},{r[0]},{r[1]},{r[2]}\n" for r in table)
    )
    read, made = Boxes.read(path), Boxes.of(table)
    np.testing.assert_array_equal(read.frames, frames)
    np.testing.assert_array_equal(read.corners, [row[1:] for row in table])
    np.testing.assert_array_equal(made.frames, read.frames)
    np.testing.assert_array_equal(made.corners, read.corners)


def test_boxes_without_frames_are_of_the_first():
    assert Boxes.of([(1, 2, 3, 4)] * 3).frames.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "text", ["", "frame,x1,y1,x2,y2", "frame,x1,y1,x2,y2\n", "0,1,2,3,4\n", "frame,x1,y1,x2\n0,1,2,3"]
)
def test_a_file_without_boxes_is_refused(tmp_path, text):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(FootageError, match=r"boxes\.csv.*frame,x1,y1,x2,y2"):
        Boxes.read(path)


@pytest.mark.parametrize("line", ["0,1,2,3", "0,1,2,3,", "0,1,2,3,four", "-1,1,2,3,4", "1.5,1,2,3,4", "0,3,2,3,4"])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "boxes.csv"
    path.write_text(f"frame,x1,y1,x2,y2\n0,1,2,3,4\n{line}\n")
    with pytest.raises(FootageError, match=r"boxes\.csv, line 3: "):
        Boxes.read(path)
