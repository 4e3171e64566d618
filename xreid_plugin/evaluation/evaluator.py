"""Both directions of the task from one pass over the test set."""

import logging
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from fastreid.evaluation import ReidEvaluator
from fastreid.utils import comm
from torch.nn import functional as F

from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.tracklet import INDICES, RetrievalTask
from xreid_plugin.evaluation.ranking import RankMetrics, rank_metrics_from_features

logger = logging.getLogger(__name__)

RANKS = (1, 5, 10, 20)
FIGURES = (*(f"Rank-{rank}" for rank in RANKS), "mAP", "mINP")


class CrossModalityEvaluator(ReidEvaluator):
    """The host's evaluator for tracklets: I2V and V2I figures, each test tracklet embedded once.

    A tracklet's embedding is the mean over its clips, then L2-normalised; ranking is by cosine. The figures are
    percentages named "I2V/Rank-1" and so on.
    """

    def __init__(self, cfg: Any, dataset: VideoCrossModalityDataset) -> None:
        """
        Args:
            cfg: for TEST.
            dataset: whose ``test`` tracklets the loader reads, and whose ``tasks`` are ranked.

        Raises:
            ValueError: an unknown TEST.SAME_CAMERA.
        """
        if cfg.TEST.SAME_CAMERA not in ("exclude", "keep"):
            raise ValueError(f'TEST.SAME_CAMERA is "{cfg.TEST.SAME_CAMERA}"; it must be "exclude" or "keep".')
        super().__init__(cfg, num_query=len(dataset.query))
        self.dataset = dataset
        self.reports: dict[str, RankMetrics] = {}

    def process(self, inputs: dict[str, torch.Tensor], outputs: torch.Tensor) -> None:
        """Keeps a batch's clip embeddings, (B, F), with the tracklets they are of."""
        self._predictions.append((inputs[INDICES].cpu(), outputs.float().cpu()))

    def evaluate(self) -> OrderedDict[str, float]:
        """The figures of both directions on the main process, nothing elsewhere.

        Raises:
            RuntimeError: a test tracklet has no embedding.
            ValueError: embeddings that are not finite, or a direction without a single query that has a match.
        """
        predictions = comm.gather(self._predictions, dst=0)
        if not comm.is_main_process():
            return OrderedDict()
        features = tracklet_embeddings(
            [prediction for of_rank in predictions for prediction in of_rank], len(self.dataset.test)
        )
        results: OrderedDict[str, float] = OrderedDict()
        for direction, task in self.dataset.tasks.items():
            report = self._rank(features, task)
            self.reports[direction] = report
            if report.num_unmatched:
                logger.info(
                    f"{direction}: {report.num_unmatched} of {report.num_query} queries have no match in the "
                    "gallery and do not count."
                )
            results.update({f"{direction}/{name}": value for name, value in figures(report).items()})
        return results

    def _rank(self, features: torch.Tensor, task: RetrievalTask) -> RankMetrics:
        query, gallery = list(task.query), list(task.gallery)
        pids = np.array([tracklet.pid for tracklet in self.dataset.test])
        camids = np.array([tracklet.camid for tracklet in self.dataset.test])
        return rank_metrics_from_features(
            features[query],
            features[gallery],
            pids[query],
            pids[gallery],
            camids[query],
            camids[gallery],
            same_camera=self.cfg.TEST.SAME_CAMERA,
            ranks=RANKS,
        )

    @property
    def protocol(self) -> dict[str, object]:
        """What the figures depend on besides the model, ready for JSON."""
        return {
            **self.dataset.protocol,
            "frames": self.cfg.TEST.FRAMES,
            "frames_per_clip": self.cfg.INPUT.CLIP.FRAMES,
            "size": list(self.cfg.INPUT.SIZE_TEST),
            "same_camera": self.cfg.TEST.SAME_CAMERA,
            "flip": self.cfg.TEST.FLIP.ENABLED,
            "distance": "cosine",
            "queries": {direction: report.num_query for direction, report in self.reports.items()},
            "queries_without_match": {direction: report.num_unmatched for direction, report in self.reports.items()},
        }


def tracklet_embeddings(clips: list[tuple[torch.Tensor, torch.Tensor]], num_tracklets: int) -> torch.Tensor:
    """Averages clips to tracklets, then normalises.

    Args:
        clips: batches of (indices, embeddings): (B,) int64 and (B, F) float32.
        num_tracklets: n.

    Returns:
        (n, F) float32, unit rows, independent of the order and number of the batches up to rounding.

    Raises:
        RuntimeError: a tracklet without a clip.
    """
    indices = torch.cat([batch for batch, _ in clips])
    embeddings = torch.cat([batch for _, batch in clips])
    counts = torch.bincount(indices, minlength=num_tracklets)
    if bool((counts == 0).any()):
        raise RuntimeError(f"{int((counts == 0).sum())} of {num_tracklets} test tracklets were not embedded.")
    # The sum of unequal numbers of clips differs from their mean by a factor, which normalising takes out.
    sums = torch.zeros(num_tracklets, embeddings.shape[1]).index_add_(0, indices, embeddings)
    return F.normalize(sums)


def figures(report: RankMetrics) -> dict[str, float]:
    """Rank-1, 5, 10, 20, mAP and mINP of a ranking, in percent."""
    values = [*(report.cmc[rank] for rank in RANKS), report.mAP, report.mINP]
    return {name: 100 * float(value) for name, value in zip(FIGURES, values, strict=True)}
