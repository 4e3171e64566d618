"""Which frames of a tracklet make a clip: pure functions of the tracklet's length.

L is the tracklet's length in frames, T the clip's. All return int64 indices in 0..L-1, in temporal order.
"""

import numpy as np


def random_in_chunks(length: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """One frame at random from each of T chunks: the training choice (method: Recipe).

    The tracklet is cut into T chunks of ceil(L / T) frames, its end filled up with its last frame.

    Args:
        length: L, at least 1.
        frames: T, at least 1.
        rng: source of the draws.

    Returns:
        (T,) indices, not decreasing.
    """
    chunk = -(-length // frames)
    starts = np.arange(frames) * chunk
    return np.minimum(rng.integers(starts, starts + chunk), length - 1)


def even(length: int, frames: int) -> np.ndarray:
    """The first frame of each of T chunks, which are those of training (method: Recipe).

    Args:
        length: L, at least 1.
        frames: T, at least 1.

    Returns:
        (T,) indices, not decreasing; the last frame fills up what is left.
    """
    return np.minimum(np.arange(frames) * -(-length // frames), length - 1)


def dense(length: int, frames: int) -> np.ndarray:
    """Every frame, in consecutive clips of T; the last clip is filled up by cycling through itself (method: Recipe).

    Args:
        length: L, at least 1.
        frames: T, at least 1.

    Returns:
        (ceil(L / T), T) indices.
    """
    clips = -(-length // frames)
    last = (clips - 1) * frames
    filled = last + np.arange(frames) % (length - last)
    return np.concatenate([np.arange(last), filled]).reshape(clips, frames)


def of_test(length: int, frames: int, mode: str) -> np.ndarray:
    """(C, T) indices of the clips of a test tracklet: one, :func:`even`, or all, :func:`dense`, as TEST.FRAMES says."""
    return dense(length, frames) if mode == "dense" else even(length, frames)[None]


def frames_before_repeats(chosen: np.ndarray) -> int:
    """How many frames a clip has before it repeats its last one until its end, 1 to T.

    Args:
        chosen: (T,) indices.
    """
    others = np.flatnonzero(chosen != chosen[-1])
    return int(others[-1]) + 2 if len(others) else 1
