"""Both directions of the task from one pass over the test set."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastreid.evaluation import ReidEvaluator
from fastreid.utils import comm

from xreid_plugin.data.check import doubts
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.tracklet import INDICES, Tracklet
from xreid_plugin.evaluation.features import TrackletFeatures, save_features
from xreid_plugin.evaluation.metrics import RankMetrics
from xreid_plugin.evaluation.ranking import RankingProtocol, rankings
from xreid_plugin.host import resolve_device

logger = logging.getLogger(__name__)


class CrossModalityEvaluator(ReidEvaluator):
    """The host's evaluator for tracklets: I2V and V2I metrics, each test tracklet embedded once.

    A tracklet's embedding is the mean over its clips; ranking is by cosine. The metrics are percentages named
    "I2V/Rank-1" and so on; re-ranked ones, if TEST.RERANK asks for them, are added as "I2V-reranked/Rank-1" and
    "I2V-temporal/Rank-1".

    Attributes:
        tracklets: the tracklets that the loader must read; for temporal re-ranking the halves follow the wholes, and a
            batch's indices show which is which.
        reports: the raw ranking of each direction.
        substituted_frames: how many frames of the clips were replaced by others; set by the code that reads the clips.
        model: the fingerprint of the model that embeds, which saved features carry; set by the code that runs it.
        weights: the hash of its weights; set by the same.
    """

    def __init__(self, cfg: Any, dataset: VideoCrossModalityDataset) -> None:
        super().__init__(cfg, num_query=len(dataset.query))
        self.dataset = dataset
        self._ranking = RankingProtocol.from_config(cfg)
        self.tracklets: list[Tracklet] = with_halves(dataset.test) if self._ranking.temporal else dataset.test
        self.reports: dict[str, RankMetrics] = {}
        self.substituted_frames = 0
        self.model = self.weights = ""
        self._save_to = features_path(cfg, type(dataset).__name__)
        if self._save_to is not None:
            # Now, rather than after hours of embedding.
            self._save_to.parent.mkdir(parents=True, exist_ok=True)

    def process(self, inputs: dict[str, torch.Tensor], outputs: torch.Tensor) -> None:
        """Keeps a batch's clip embeddings, (B, F), on their device, with the indices of their tracklets."""
        self._predictions.append((inputs[INDICES].to(outputs.device), outputs.float()))

    def evaluate(self) -> OrderedDict[str, float]:
        """The metrics of both directions on the main process, nothing elsewhere; releases the embeddings.

        Raises:
            ValueError: embeddings that are missing or not finite, or a direction in which no query has a match.
        """
        predictions = self._predictions
        if comm.get_world_size() > 1:
            of_ranks = comm.gather([(indices.cpu(), embeddings.cpu()) for indices, embeddings in predictions])
            predictions = [clips for of_rank in of_ranks for clips in of_rank]
        self.reset()
        results: OrderedDict[str, float] = OrderedDict()
        if not comm.is_main_process():
            return results
        means = tracklet_means(predictions, len(self.tracklets))
        # Ranking takes much memory itself, and no longer needs the clips.
        del predictions
        whole, first_half, second_half = [*means.split(len(self.dataset.test)), None, None][:3]
        pids, camids, modalities = np.array([tracklet[1:4] for tracklet in self.dataset.test], np.int64).T
        names, tasks = tuple(tracklet.name for tracklet in self.dataset.test), self.dataset.tasks
        protocol = {**self._settings, "model": self.model}
        data = TrackletFeatures(whole, pids, camids, modalities, tasks, first_half, second_half, names, protocol)
        if self._save_to is not None:
            save_features(self._save_to, data)
            logger.info(f"Features saved to {self._save_to}")
        # Gathered from several processes, features are on the CPU.
        for ranking in rankings(data, self._ranking, resolve_device(self.cfg.MODEL.DEVICE)):
            if ranking.method is None:
                self.reports[ranking.direction] = ranking.result
            results.update({f"{ranking.label}/{name}": value for name, value in ranking.metrics.items()})
        return results

    @property
    def protocol(self) -> dict[str, object]:
        """What the metrics depend on besides the model, ready for JSON."""
        return {
            **self._settings,
            "queries": {name: len(report.ap) for name, report in self.reports.items()},
            "queries_without_match": {name: int(np.isnan(report.ap).sum()) for name, report in self.reports.items()},
            "substituted_frames": self.substituted_frames,
        }

    @property
    def curves(self) -> dict[str, list[float]]:
        """By direction, the raw CMC at ranks 1, 2, ..., in percent, ready for JSON."""
        return {direction: (100 * report.curve).tolist() for direction, report in self.reports.items()}

    @property
    def _settings(self) -> dict[str, object]:
        return {
            **self.dataset.protocol,
            "differs_from_full_dataset": doubts(self.dataset),
            "frames": self.cfg.TEST.FRAMES,
            "frames_per_clip": self.cfg.INPUT.CLIP.FRAMES,
            "size": list(self.cfg.INPUT.SIZE_TEST),
            "flip": self.cfg.TEST.FLIP.ENABLED,
            "distance": "cosine",
            **asdict(self._ranking),
        }


def with_halves(tracklets: Sequence[Tracklet]) -> list[Tracklet]:
    """The n tracklets, then the first half of each, then the second: entry i of each third belongs to tracklet i.

    Of L frames the first half has floor(L / 2); a single frame is both halves.
    """
    halves: tuple[list[Tracklet], list[Tracklet]] = ([], [])
    for whole in tracklets:
        middle = len(whole.paths) // 2
        halves[0].append(whole._replace(paths=whole.paths[: max(1, middle)], name=f"{whole.name}, first half"))
        halves[1].append(whole._replace(paths=whole.paths[middle:], name=f"{whole.name}, second half"))
    return [*tracklets, *halves[0], *halves[1]]


def features_path(cfg: Any, dataset: str) -> Path | None:
    """The file that TEST.SAVE_FEATURES means for a dataset, or None."""
    if not cfg.TEST.SAVE_FEATURES:
        return None
    path = Path(cfg.TEST.SAVE_FEATURES)
    return path.with_name(f"{dataset}_{path.name}") if len(cfg.DATASETS.TESTS) > 1 else path


def tracklet_means(clips: list[tuple[torch.Tensor, torch.Tensor]], num_tracklets: int) -> torch.Tensor:
    """Averages batches of clips, (B,) int64 tracklets and (B, F) float32 embeddings, to (n, F) float32 on their device.

    The same in every run, and for any batches up to rounding; NaN for a tracklet without a clip.
    """
    # On CUDA, sums that are scattered to their tracklets come in an order that changes from run to run.
    indices, order = torch.cat([batch for batch, _ in clips]).sort(stable=True)
    counts = torch.bincount(indices, minlength=num_tracklets)
    return torch.segment_reduce(torch.cat([batch for _, batch in clips])[order], "mean", lengths=counts)
