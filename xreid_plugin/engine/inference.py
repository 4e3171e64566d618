"""The two passes without gradient: embeddings of test tracklets to rank, features of training ones for prototypes.

Shapes: B clips of a batch, F numbers of an embedding.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from fastreid.evaluation import inference_context
from fastreid.utils import comm
from torch import nn
from tqdm import tqdm

from xreid_plugin.data.frame_reader import ClipFaults
from xreid_plugin.data.tracklet import FAULTS, IMAGES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.signals import poll
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.host import DeviceLoader, resolve_device
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash
from xreid_plugin.modeling.xreid import XReID

logger = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]

# How many bad frames a summary names.
_NAMED = 5


def autocast(cfg: Any) -> AbstractContextManager[Any]:
    """What forward passes run in by SOLVER.AMP, in training as in inference; may be entered again and again."""
    if not cfg.SOLVER.AMP.ENABLED:
        return nullcontext()
    return torch.autocast(resolve_device(cfg.MODEL.DEVICE).type, getattr(torch, cfg.SOLVER.AMP.DTYPE))


class Embedder(nn.Module):
    """A model as evaluation runs it: under autocast, and averaged with its outputs for mirrored clips if asked.

    Autocast stays around the model, since ranking is done in float32. The host's own flip test mirrors dimension 3,
    which of (B, T, 3, H, W) is the height.
    """

    def __init__(self, model: nn.Module, flip: bool, autocast: AbstractContextManager[Any]) -> None:
        """A model that maps a batch to (B, F) embeddings in eval mode, and what is entered around every call of it."""
        super().__init__()
        self.model = model
        self.flip = flip
        self.autocast = autocast
        self.train(model.training)

    def forward(self, batch: Batch) -> torch.Tensor:
        """The model's outputs, (B, F) float32."""
        with self.autocast:
            embeddings: torch.Tensor = self.model(batch).float()
            if self.flip:
                mirrored = self.model({**batch, IMAGES: batch[IMAGES].flip(-1)}).float()
                embeddings = (embeddings + mirrored) / 2
        return embeddings


def whole_pass(loader: DeviceLoader, what: str, faults: list[ClipFaults]) -> Iterator[dict[str, Any]]:
    """A loader's batches, with a progress bar on the main process; clips with bad frames are added to ``faults``."""
    # Shown on a terminal alone.
    hidden = None if comm.is_main_process() else True
    for batch in tqdm(loader, desc=what, unit="batch", leave=False, disable=hidden):
        poll()
        faults += bad_clips(batch.pop(FAULTS, []))
        yield batch


def bad_clips(clips: Sequence[ClipFaults]) -> list[ClipFaults]:
    """Those in which a frame could not be read."""
    return [clip for clip in clips if clip.frames]


def log_bad_frames(what: str, clips: Sequence[ClipFaults]) -> int:
    """Logs one line about a pass in which frames were bad and were made good; collective.

    Args:
        what: names the pass.
        clips: of this rank, from :func:`bad_clips`.

    Returns:
        How often another frame stood in, over all ranks; 0 on all but the main process.
    """
    of_all = list(itertools.chain.from_iterable(comm.gather(list(clips))))
    frames = [path for clip in of_all for path in clip.frames]
    if frames:
        tracklets, some = len({clip.tracklet for clip in of_all}), ", ".join(list(dict.fromkeys(frames))[:_NAMED])
        logger.warning(
            f"{what}: {len(frames)} bad frames in {tracklets} tracklets were substituted, such as {some}. "
            "tools/check_dataset.py --deep lists all bad frames."
        )
    return len(frames)


def evaluate(embedder: Embedder, loader: DeviceLoader, evaluator: CrossModalityEvaluator) -> dict[str, float]:
    """Embeds and ranks the test clips; unlike the host's loop it waits for no batch, so that a GPU always has work.

    Returns the evaluator's metrics; none on all but the main process.
    """
    if comm.is_main_process():
        model = embedder.model
        bare = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
        evaluator.weights = weights_hash(bare, TRAINING_ONLY)
        evaluator.model = fingerprint(evaluator.weights, evaluator.cfg)
    faults = embed_clips(embedder, loader, evaluator)
    metrics: dict[str, float] = evaluator.evaluate()
    evaluator.substituted_frames = log_bad_frames("Evaluating", faults)
    return metrics


def embed_clips(embedder: Embedder, loader: DeviceLoader, evaluator: CrossModalityEvaluator) -> list[ClipFaults]:
    """Fills the evaluator with the embeddings of all clips; returns those of this rank that have bad frames."""
    faults: list[ClipFaults] = []
    evaluator.reset()
    with inference_context(embedder), torch.inference_mode():
        for batch in whole_pass(loader, "Evaluating", faults):
            evaluator.process(batch, embedder(batch))
    return faults


@torch.inference_mode()
def extract_sequences(model: XReID, loader: DeviceLoader) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tower's feature of one clip of every training tracklet, before the neck, in eval mode (method: CPC 1).

    Args:
        model: not wrapped.
        loader: one clip of every training tracklet, each rank a part.

    Returns:
        Over all ranks, on the CPU: sequences (n, F) float32, targets (n,) int64, modalities (n,) int64.
    """
    rows: list[tuple[torch.Tensor, ...]] = []
    faults: list[ClipFaults] = []
    with inference_context(model):
        for batch in whole_pass(loader, "Refreshing prototypes", faults):
            # They stay on the device until the last is queued: nothing waits for one that is still computed.
            features = model.sequence_features(batch[IMAGES], batch.get(LENGTHS)).float()
            rows.append((features, batch[TARGETS], batch[MODALITIES]))
    log_bad_frames("Refreshing prototypes", faults)
    of_rank = [tuple(values.cpu() for values in row) for row in rows]
    gathered = itertools.chain.from_iterable(comm.all_gather(of_rank))
    features, targets, modalities = (torch.cat(column) for column in zip(*gathered, strict=True))
    return features, targets, modalities
