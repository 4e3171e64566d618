"""Galleries of random people."""

import numpy as np

from xreid_plugin.gallery.records import Manifest, Record

DIMENSIONS = 16
EMPTY = Manifest(dimensions=DIMENSIONS)


def unit_rows(rows, seed=0, dimensions=DIMENSIONS, people=None):
    """Around as many people as are asked for; else each row by itself."""
    rng = np.random.default_rng(seed)
    rows_of = rng.standard_normal((rows, dimensions))
    if people:
        rows_of = rng.standard_normal((people, dimensions))[rng.integers(people, size=rows)] + 0.5 * rows_of
    return (rows_of / np.linalg.norm(rows_of, axis=1, keepdims=True)).astype(np.float32)


def batch(rows, seed=0, **kwargs):
    return unit_rows(rows, seed, **kwargs), [
        Record(f"person {row % 5}", f"{seed}, {row}", camera=f"gate {row % 3}", time=1e9 + row) for row in range(rows)
    ]
