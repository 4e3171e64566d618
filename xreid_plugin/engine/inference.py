"""The two passes without gradient: embeddings of test tracklets to rank, features of training ones for prototypes."""

import itertools
from contextlib import AbstractContextManager
from typing import Any

import torch
from fastreid.evaluation import inference_context, inference_on_dataset
from fastreid.utils import comm
from torch import nn

from xreid_plugin.data.tracklet import IMAGES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.engine.checkpoint import TRAINING_ONLY
from xreid_plugin.engine.passes import Batch, InParts, Progress
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.host import DeviceLoader
from xreid_plugin.modeling.fingerprint import fingerprint
from xreid_plugin.modeling.xreid import XReID


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
    if evaluator.cfg.TEST.SAVE_FEATURES:
        model = embedder.model
        bare = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
        evaluator.model = fingerprint(bare, evaluator.cfg, TRAINING_ONLY)
    progress = Progress(loader, "Evaluating")
    figures: dict[str, float] = inference_on_dataset(embedder, progress, evaluator)
    evaluator.substituted_frames = progress.tell().frames
    return figures


@torch.inference_mode()
def extract_sequences(model: XReID, loader: DeviceLoader) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tower's feature of one clip of every training tracklet, before the neck, in eval mode (method: CPC 1).

    Args:
        model: not wrapped.
        loader: one clip of every training tracklet, each rank a part.

    Returns:
        Over all ranks, on the CPU: sequences (n, F) float32, targets (n,) int64, modalities (n,) int64.
    """
    embed = InParts(lambda batch: model.sequence_features(batch[IMAGES], batch.get(LENGTHS)).float())
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
