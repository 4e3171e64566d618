"""Passes over a whole set without gradient: embeddings for ranking, features for the prototypes."""

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from fastreid.evaluation import inference_context, inference_on_dataset
from fastreid.utils import comm
from torch import nn
from tqdm import tqdm

from xreid_plugin.data.tracklet import FAULTS, IMAGES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.engine.bad_frames import FaultCount, log_faults
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.host import DeviceLoader
from xreid_plugin.modeling.xreid import XReID

logger = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]


class Progress:
    """A loader with a progress bar, quiet where standard error is no terminal and on all but the main process.

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
        # None leaves it to tqdm, which is quiet where there is no terminal.
        disable = None if comm.is_main_process() else True
        for batch in tqdm(self._loader, desc=self._what, unit="batch", leave=False, disable=disable):
            faults = batch.pop(FAULTS, [])
            self._faults.add(faults)
            shown = [place for place, clip in enumerate(faults) if not clip.blank]
            if len(shown) < len(faults):
                batch = {name: rows[shown] for name, rows in batch.items()}
            if len(batch[IMAGES]):
                yield batch

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


class Embedder(nn.Module):
    """A model as evaluation runs it: under autocast, and averaged with its outputs for mirrored clips if asked.

    Autocast stays around the model, since ranking is done in float32. The host's own flip test mirrors dimension 3,
    which of (B, T, 3, H, W) is the height.
    """

    def __init__(self, model: nn.Module, flip: bool, autocast: AbstractContextManager[Any]) -> None:
        """
        Args:
            model: maps a batch to (B, F) embeddings in eval mode.
            flip: average every clip with its mirror image.
            autocast: entered around every call of the model.
        """
        super().__init__()
        self.model = model
        self.flip = flip
        self.autocast = autocast
        self._in_parts = InParts(self._embed)
        self.train(model.training)

    def forward(self, batch: Batch) -> torch.Tensor:
        """The model's outputs, (B, F) float32."""
        with self.autocast:
            return self._in_parts(batch)

    def _embed(self, batch: Batch) -> torch.Tensor:
        embeddings = self.model(batch).float()
        if self.flip:
            mirrored = self.model({**batch, IMAGES: batch[IMAGES].flip(-1)}).float()
            embeddings = (embeddings + mirrored) / 2
        return embeddings


def evaluate(embedder: Embedder, loader: DeviceLoader, evaluator: CrossModalityEvaluator) -> dict[str, float]:
    """Runs the host's inference loop over the test clips.

    Args:
        embedder: of clips.
        loader: of the test clips.
        evaluator: collects and ranks them.

    Returns:
        The evaluator's figures; empty on all but the main process.
    """
    progress = Progress(loader, "Evaluating")
    figures: dict[str, float] = inference_on_dataset(embedder, progress, evaluator)
    evaluator.substituted_frames = progress.tell().frames
    return figures


@torch.inference_mode()
def extract_prototype_features(model: XReID, loader: DeviceLoader) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z of one clip of every training tracklet, in eval mode, so that no batch statistic moves (method: CPC 1).

    Args:
        model: not wrapped.
        loader: one clip of every training tracklet, each rank a part.

    Returns:
        Over all ranks, on the CPU: features (n, F) float32, targets (n,) int64, modalities (n,) int64.
    """
    embed = InParts(lambda batch: model.prototype_features(batch[IMAGES], batch.get(LENGTHS)).float())
    rows: list[tuple[torch.Tensor, ...]] = []
    with inference_context(model):
        progress = Progress(loader, "Refreshing prototypes")
        for batch in progress:
            # They stay on the device until the last is queued: nothing waits for one that is still computed.
            rows.append((embed(batch), batch[TARGETS], batch[MODALITIES]))
    progress.tell()
    of_rank = [tuple(values.cpu() for values in row) for row in rows]
    gathered = itertools.chain.from_iterable(comm.all_gather(of_rank))
    features, targets, modalities = (torch.cat(column) for column in zip(*gathered, strict=True))
    return features, targets, modalities
