"""Which gallery entries match a query, and which are hidden from it: identities and the same-camera rule of a protocol.

Shapes: Q queries, G gallery entries, C queries of one chunk, W the most entries that one identity has in the gallery.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any] | torch.Tensor
SameCamera = Literal["exclude", "keep"]


class Candidates(NamedTuple):
    """For each query of a chunk, the gallery entries of its identity, padded to the longest list.

    Attributes:
        columns: (C, W) int64, gallery indices; padding holds a valid index too.
        matches: (C, W) bool, entries that match the query.
        excluded: (C, W) bool, entries that are hidden from the query. Padding is in neither mask.
    """

    columns: torch.Tensor
    matches: torch.Tensor
    excluded: torch.Tensor


class Matching:
    """The pairs of equal identity between queries and gallery, found from one sort of the gallery's identities.

    Nothing of size Q x G is made: an identity has few gallery entries.
    """

    def __init__(self, q_pids: Array, g_pids: Array, q_camids: Array, g_camids: Array, same_camera: SameCamera) -> None:
        """
        Args:
            q_pids: (Q,) integer, identities of the queries.
            g_pids: (G,) integer, identities of the gallery.
            q_camids: (Q,) integer, cameras of the queries.
            g_camids: (G,) integer, cameras of the gallery.
            same_camera: "exclude" hides gallery entries of the query's identity and camera; "keep" counts them as
                matches.

        Raises:
            ValueError: a side is empty, lengths differ, values are not integers or the rule is unknown.
        """
        if same_camera not in ("exclude", "keep"):
            raise ValueError(f'same_camera must be "exclude" or "keep", not {same_camera!r}')
        self.q_pids, self.q_camids = _side("query", q_pids, q_camids)
        self.g_pids, self.g_camids = _side("gallery", g_pids, g_camids)
        self.hides = same_camera == "exclude"
        self._order = np.argsort(self.g_pids, kind="stable")
        by_pid = self.g_pids[self._order]
        self._first = np.searchsorted(by_pid, self.q_pids, side="left")
        self._last = np.searchsorted(by_pid, self.q_pids, side="right")

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, G)."""
        return len(self.q_pids), len(self.g_pids)

    def candidates(self, start: int, stop: int, device: torch.device | str = "cpu") -> Candidates:
        """The entries of the identities of queries start..stop-1; W is at least 1."""
        first, last = self._first[start:stop, None], self._last[start:stop, None]
        position = first + np.arange(max(1, int((last - first).max(initial=0))))
        same = position < last
        columns = self._order[np.minimum(position, len(self._order) - 1)]
        excluded = same & (self.g_camids[columns] == self.q_camids[start:stop, None]) & self.hides
        return Candidates(*(torch.from_numpy(a).to(device) for a in (columns, same & ~excluded, excluded)))


def integer_vector(name: str, values: Array) -> NDArray[np.int64]:
    """The values as a vector of int64.

    Raises:
        ValueError: ``values`` is not one-dimensional or does not hold integers.
    """
    vector = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    if vector.ndim != 1 or not (np.issubdtype(vector.dtype, np.integer) or vector.size == 0):
        raise ValueError(f"{name} must be a vector of integers, not {vector.dtype} of shape {vector.shape}")
    return vector.astype(np.int64)


def _side(name: str, pids: Array, camids: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pid_vector, camid_vector = integer_vector(f"{name} pids", pids), integer_vector(f"{name} camids", camids)
    if len(pid_vector) != len(camid_vector):
        raise ValueError(f"{name}: {len(pid_vector)} pids but {len(camid_vector)} camids")
    if len(pid_vector) == 0:
        raise ValueError(f"the {name} set is empty: there is nothing to rank")
    return pid_vector, camid_vector
