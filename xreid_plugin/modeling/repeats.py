"""Clips of short tracklets repeat their last frame; a tower that sees frames one by one needs to see it only once.

Shapes: B clips of T frames.
"""

import torch


class DistinctFrames:
    """Which frames of a batch differ, and where their features belong.

    Attributes:
        all_differ: whether all frames differ, so that there is nothing to leave out.
    """

    def __init__(self, lengths: torch.Tensor, frames: int) -> None:
        """
        Args:
            lengths: (B,) int64, 1..T, how many frames of a clip differ; the last of them fills up the rest.
            frames: T.
        """
        counts = lengths[:, None]
        time = torch.arange(frames, device=lengths.device)
        # Only the device knows the size of the result: this waits for it.
        self._kept = (time < counts).flatten().nonzero()[:, 0]
        first = counts.cumsum(0) - counts
        self._places = (first + torch.minimum(time, counts - 1)).flatten()
        self.all_differ = len(self._kept) == len(self._places)

    def pick(self, rows: torch.Tensor) -> torch.Tensor:
        """(B·T, ...), one row per frame -> the rows of distinct frames."""
        return rows if self.all_differ else rows[self._kept]

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """What :meth:`pick` returned, or was computed from it -> (B·T, ...)."""
        return rows if self.all_differ else rows[self._places]
