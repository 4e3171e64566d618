"""Which frames of a tracklet make a clip: pure functions of the tracklet's length.

L is the tracklet's length in frames, T the clip's. All return int64 indices in 0..L-1, in temporal order.
"""

import numpy as np


def random_in_chunks(length: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """One frame at random from each of T equal chunks: the training choice (method: Recipe).

    A tracklet shorter than the clip has chunks without a frame of their own; those take the frame they start in, so
    that frames repeat but never go back in time.

    Args:
        length: L, at least 1.
        frames: T, at least 1.
        rng: source of the draws.

    Returns:
        (T,) indices, not decreasing.
    """
    starts = _chunk_starts(length, frames)
    ends = np.maximum(np.append(starts[1:], length), starts + 1)
    return rng.integers(starts, ends)


def even(length: int, frames: int) -> np.ndarray:
    """The first frame of each of T equal chunks; the last frame fills up a tracklet shorter than T (method: Embedding).

    Args:
        length: L, at least 1.
        frames: T, at least 1.

    Returns:
        (T,) indices, not decreasing.
    """
    starts = _chunk_starts(length, frames)
    return starts if length >= frames else np.minimum(np.arange(frames), length - 1)


def dense(length: int, frames: int) -> np.ndarray:
    """Every frame, in consecutive clips of T; the last frame fills up the last clip (method: Embedding).

    Args:
        length: L, at least 1.
        frames: T, at least 1.

    Returns:
        (ceil(L / T), T) indices.
    """
    clips = num_dense_clips(length, frames)
    return np.minimum(np.arange(clips * frames), length - 1).reshape(clips, frames)


def num_dense_clips(length: int, frames: int) -> int:
    """How many clips :func:`dense` makes: ceil(L / T)."""
    _check(length, frames)
    return -(-length // frames)


def _chunk_starts(length: int, frames: int) -> np.ndarray:
    _check(length, frames)
    return np.arange(frames) * length // frames


def _check(length: int, frames: int) -> None:
    if length < 1 or frames < 1:
        raise ValueError(f"A clip of {frames} frames cannot be taken from {length} frames: both must be at least 1.")
