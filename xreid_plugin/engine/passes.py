"""What every pass over a whole set needs: a bar, batches of whole clips alone, and parts that fit into memory."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch
from fastreid.utils import comm

from xreid_plugin.data.tracklet import FAULTS, IMAGES
from xreid_plugin.engine.bad_frames import FaultCount, log_faults
from xreid_plugin.host import DeviceLoader
from xreid_plugin.progress import ProgressBar

logger = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]


class Progress:
    """A loader with a progress bar, or lines in the log where there is no terminal; quiet but on the main process.

    Its batches are without blank clips, and what was bad of them is told once.
    """

    def __init__(self, loader: DeviceLoader, what: str) -> None:
        """
        Args:
            loader: to iterate over.
            what: shown before the bar.
        """
        self._loader = loader
        self._what = what
        self.dataset = loader.dataset
        self._faults = FaultCount()

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        shown = comm.is_main_process()
        with ProgressBar(self._what, len(self), "batch", tell=logger.info, shown=shown) as bar:
            for batch in self._loader:
                whole = self._without_blanks(batch)
                if len(whole[IMAGES]):
                    yield whole
                bar.update()

    def _without_blanks(self, batch: dict[str, Any]) -> dict[str, Any]:
        faults = batch.pop(FAULTS, [])
        self._faults.add(faults)
        shown = [place for place, clip in enumerate(faults) if not clip.blank]
        return batch if len(shown) == len(faults) else {name: rows[shown] for name, rows in batch.items()}

    def tell(self) -> FaultCount:
        """Logs, after the pass, what was bad of the frames of all ranks, and returns it on the main one; collective."""
        return log_faults(self._what, self._faults)


class InParts:
    """A pass over a batch, whole where it fits the device's memory, else in parts of half as many clips, and so on.

    What fitted once is remembered, so that memory runs out a few times at most.
    """

    def __init__(self, embed: Callable[[Batch], torch.Tensor]) -> None:
        """
        Args:
            embed: maps a batch to (B, F); what it makes of a clip depends on that clip alone.
        """
        self._embed = embed
        self._limit: int | None = None

    def __call__(self, batch: Batch) -> torch.Tensor:
        """What ``embed`` makes of the batch, (B, F).

        Raises:
            torch.OutOfMemoryError: a single clip does not fit.
        """
        clips = len(batch[IMAGES])
        while True:
            size = min(self._limit or clips, clips)
            try:
                starts = range(0, clips, size)
                parts = [self._embed({name: rows[i : i + size] for name, rows in batch.items()}) for i in starts]
                return torch.cat(parts)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Out of the handler, whose traceback holds on to the memory that is wanted back.
            parts = []
            torch.cuda.empty_cache()
            self._limit = (size + 1) // 2
            logger.warning(f"{size} clips at a time do not fit into memory: going on with {self._limit}.")
