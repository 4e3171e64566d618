"""What was bad of the frames of a pass and was made good, summed up in one line at its end."""

import itertools
import logging
from collections.abc import Iterable

from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm

from xreid_plugin.data.substitution import ClipFaults

logger = logging.getLogger(__name__)

_NAMED = 5


class FaultCount:
    """Adds up the faults of clips; what it keeps is bounded by the number of tracklets.

    Attributes:
        frames: how often another frame stood in, over all clips.
        tracklets: names of those whose frames were bad, in the order in which they came.
        dropped: names of those without a readable frame.
        first: paths of the first bad frames.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.tracklets: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self.first: dict[str, None] = {}

    def add(self, clips: Iterable[ClipFaults]) -> None:
        """Adds a batch's."""
        for clip in clips:
            self.dropped.update(dict.fromkeys(clip.dropped))
            if clip.frames:
                self._add_frames(len(clip.frames), [clip.tracklet], clip.frames)

    def _add_frames(self, frames: int, tracklets: Iterable[str], paths: Iterable[str]) -> None:
        self.frames += frames
        self.tracklets.update(dict.fromkeys(tracklets))
        new = (path for path in paths if path not in self.first)
        self.first.update(dict.fromkeys(itertools.islice(new, _NAMED - len(self.first))))

    def of_all_ranks(self) -> "FaultCount":
        """The sum over all ranks, on the main process; collective."""
        total = FaultCount()
        for part in comm.gather(self):
            total._add_frames(part.frames, part.tracklets, part.first)
            total.dropped.update(part.dropped)
        return total

    def __str__(self) -> str:
        parts = []
        if self.frames:
            parts.append(
                f"{self.frames} bad frames in {len(self.tracklets)} tracklets were substituted, such as "
                f"{', '.join(self.first)}"
            )
        if self.dropped:
            names = list(self.dropped)
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(
                f"{len(names)} tracklets without a readable frame were dropped: {', '.join(names[:_NAMED])}{more}"
            )
        return "; ".join(parts)


def log_faults(what: str, faults: FaultCount) -> FaultCount:
    """Logs one line about a pass in which anything was bad; collective.

    Args:
        what: names the pass.
        faults: of this rank.

    Returns:
        Those of all ranks, on the main process.
    """
    total = faults.of_all_ranks()
    if text := str(total):
        logger.warning(f"{what}: {text}. tools/check_dataset.py --deep lists all bad frames.")
    return total


class BadFramesHook(HookBase):
    """Sums up the bad frames of every epoch of training."""

    def after_epoch(self) -> None:
        """Logs, and begins anew."""
        log_faults(f"Training, epoch {self.trainer.epoch + 1}", self.trainer._trainer.take_faults())
