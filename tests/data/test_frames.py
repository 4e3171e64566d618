import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data import frames

LENGTHS = st.integers(1, 200)
SIZES = st.integers(1, 40)


def chunks(length, size):
    """The frames of each chunk by the definition: chunk i spans [i·L/T, (i+1)·L/T), rounded down."""
    return [range(i * length // size, (i + 1) * length // size) for i in range(size)]


@given(LENGTHS, SIZES, st.integers(0, 2**32))
def test_random_frames_are_one_of_each_chunk_in_order(length, size, seed):
    chosen = frames.random_in_chunks(length, size, np.random.default_rng(seed))
    assert chosen.shape == (size,)
    assert chosen.dtype == np.int64
    assert np.all(np.diff(chosen) >= 0)
    for index, chunk in zip(chosen.tolist(), chunks(length, size), strict=True):
        # A chunk without frames of its own takes the frame that it starts in.
        assert index in (chunk or [chunk.start])
        assert 0 <= index < length


def test_every_frame_of_a_chunk_can_be_drawn():
    rng = np.random.default_rng(0)
    drawn = np.array([frames.random_in_chunks(7, 3, rng) for _ in range(200)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0, 1], [2, 3], [4, 5, 6]]


@given(LENGTHS, SIZES)
def test_even_frames_are_the_first_of_each_chunk_or_filled_up_by_the_last(length, size):
    chosen = frames.even(length, size).tolist()
    if length >= size:
        assert chosen == [chunk[0] for chunk in chunks(length, size)]
    else:
        assert chosen == [*range(length), *[length - 1] * (size - length)]


@given(LENGTHS, SIZES)
def test_dense_clips_hold_every_frame_once_and_fill_up_with_the_last(length, size):
    clips = frames.dense(length, size)
    assert clips.shape == (frames.num_dense_clips(length, size), size)
    in_order = clips.ravel().tolist()
    assert in_order[:length] == list(range(length))
    assert set(in_order[length:]) <= {length - 1}
    assert len(in_order) - length < size


@pytest.mark.parametrize(("length", "size", "count"), [(1, 1, 1), (10, 10, 1), (11, 10, 2), (24, 6, 4), (3, 10, 1)])
def test_number_of_dense_clips(length, size, count):
    assert frames.num_dense_clips(length, size) == count


@pytest.mark.parametrize(("length", "size"), [(0, 4), (4, 0), (-1, 4), (4, -1)])
@pytest.mark.parametrize(
    "choose",
    [
        lambda length, size: frames.random_in_chunks(length, size, np.random.default_rng(0)),
        frames.even,
        frames.dense,
        frames.num_dense_clips,
    ],
)
def test_empty_tracklets_and_clips_are_refused(choose, length, size):
    with pytest.raises(ValueError, match=f"A clip of {size} frames cannot be taken from {length} frames"):
        choose(length, size)
