"""Passes over a whole set without gradient: embeddings for ranking, features for the prototypes."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from fastreid.evaluation import inference_context, inference_on_dataset
from fastreid.utils import comm
from torch import nn
from tqdm import tqdm

from xreid_plugin.data.tracklet import IMAGES, MODALITIES, TARGETS
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.host import DeviceLoader
from xreid_plugin.modeling.xreid import XReID

logger = logging.getLogger(__name__)


class Progress:
    """A loader with a progress bar, quiet where standard error is no terminal and on all but the main process."""

    def __init__(self, loader: DeviceLoader, what: str) -> None:
        """
        Args:
            loader: to iterate over.
            what: shown before the bar.
        """
        self._loader = loader
        self._what = what
        self.dataset = loader.dataset

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # None leaves it to tqdm, which is quiet where there is no terminal.
        disable = None if comm.is_main_process() else True
        return iter(tqdm(self._loader, desc=self._what, unit="batch", leave=False, disable=disable))


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
        self.train(model.training)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The model's outputs, (B, F) float32."""
        with self.autocast:
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
    return inference_on_dataset(embedder, Progress(loader, "Evaluating"), evaluator)


@torch.inference_mode()
def extract_prototype_features(model: XReID, loader: DeviceLoader) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z of one clip of every training tracklet, in eval mode, so that no batch statistic moves (method: CPC 1).

    Args:
        model: not wrapped.
        loader: one clip of every training tracklet, each rank a part.

    Returns:
        Over all ranks, on the CPU: features (n, F) float32, targets (n,) int64, modalities (n,) int64.
    """
    rows = []
    with inference_context(model):
        for batch in Progress(loader, "Refreshing prototypes"):
            features = model.prototype_features(batch[IMAGES])
            rows.append((features.float().cpu(), batch[TARGETS].cpu(), batch[MODALITIES].cpu()))
    gathered = itertools.chain.from_iterable(comm.all_gather(rows))
    features, targets, modalities = (torch.cat(column) for column in zip(*gathered, strict=True))
    return features, targets, modalities
