import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data import frames

LENGTHS = st.integers(1, 200)
SIZES = st.integers(1, 40)


def chunks(length, size):
    """T chunks of ceil(L / T) frames by the definition: the tracklet, its end filled up with its last frame, cut."""
    each = -(-length // size)
    filled = [*range(length), *[length - 1] * (each * size - length)]
    return [filled[i * each : (i + 1) * each] for i in range(size)]


@given(LENGTHS, SIZES, st.integers(0, 2**32))
def test_random_frames_are_one_of_each_chunk_and_even_ones_the_first(length, size, seed):
    chosen = frames.random_in_chunks(length, size, np.random.default_rng(seed))
    assert (chosen.shape, chosen.dtype) == ((size,), np.int64)
    assert np.all(np.diff(chosen) >= 0)
    assert all(index in chunk for index, chunk in zip(chosen.tolist(), chunks(length, size), strict=True))
    assert frames.even(length, size).tolist() == [chunk[0] for chunk in chunks(length, size)]


def test_every_frame_of_a_chunk_can_be_drawn():
    rng = np.random.default_rng(0)
    drawn = np.array([frames.random_in_chunks(7, 3, rng) for _ in range(200)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0, 1, 2], [3, 4, 5], [6]]


def test_even_frames_of_the_published_protocol():
    assert frames.even(24, 10).tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 23, 23]


@given(LENGTHS, SIZES)
def test_dense_clips_hold_every_frame_once_and_the_last_cycles_through_itself(length, size):
    clips = frames.dense(length, size)
    assert clips.shape == (math.ceil(length / size), size)
    assert clips.ravel().tolist()[:length] == list(range(length))
    last = [index for index in range(length) if index // size == len(clips) - 1]
    assert clips[-1].tolist() == (last * size)[:size]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_frames_before_a_clip_repeats_its_last(chosen):
    count = frames.frames_before_repeats(np.array(chosen))
    assert len(set(chosen[count - 1 :])) == 1
    assert count == 1 or chosen[count - 2] != chosen[-1]
