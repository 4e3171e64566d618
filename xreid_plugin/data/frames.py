"""Which frames of a tracklet make a clip: pure functions of the tracklet's length.

L is the tracklet's length in frames, T the clip's, both at least 1. A tracklet is cut into T chunks of ceil(L / T)
frames, its end filled up with its last frame. All indices are int64 in 0..L-1, in temporal order.
"""

import numpy as np


def random_in_chunks(length: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) indices: one frame at random of each chunk, the training choice (method: Recipe)."""
    chunk = -(-length // frames)
    starts = np.arange(frames) * chunk
    return np.minimum(rng.integers(starts, starts + chunk), length - 1)


def even(length: int, frames: int) -> np.ndarray:
    """(T,) indices: the first frame of each chunk (method: Recipe)."""
    return np.minimum(np.arange(frames) * -(-length // frames), length - 1)


def dense(length: int, frames: int) -> np.ndarray:
    """(ceil(L / T), T) indices: every frame, in consecutive clips of T (method: Recipe).

    The last clip is filled up by cycling through itself.
    """
    clips = -(-length // frames)
    last = (clips - 1) * frames
    filled = last + np.arange(frames) % (length - last)
    return np.concatenate([np.arange(last), filled]).reshape(clips, frames)


def of_test(length: int, frames: int, mode: str) -> np.ndarray:
    """(C, T) indices of the clips of a test tracklet: one, :func:`even`, or all, :func:`dense`, as TEST.FRAMES says."""
    return dense(length, frames) if mode == "dense" else even(length, frames)[None]


def frames_before_repeats(chosen: np.ndarray) -> int:
    """How many frames a clip of these (T,) indices has before it repeats its last one until its end, 1 to T."""
    others = np.flatnonzero(chosen != chosen[-1])
    return int(others[-1]) + 2 if len(others) else 1
