"""The datasets of DATASETS.TESTS: shown before training, and evaluated in both directions.

A model that embeds cameras knows those of its training set; numbers of cameras mean something within one dataset alone.
"""

import datetime
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastreid.utils import comm
from torch import nn

from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.data.check import doubts
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.engine.inference import Embedder, autocast, evaluate
from xreid_plugin.engine.setup import embeds_cameras
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.results import (
    ALONE,
    Results,
    dataset_title,
    protocol_line,
    results_table,
    write_results,
)
from xreid_plugin.files import replace_atomically
from xreid_plugin.version import __version__

logger = logging.getLogger(__name__)

# No dataset has a camera of this number, so a model has no embedding of it.
NO_CAMERA = -1


def show_test_sets(cfg: Any) -> None:
    """Logs what DATASETS.TESTS hold; before training, so that what is wrong is found then and not epochs later.

    Raises:
        ValueError: a test camera that training has not seen, unless MODEL.BACKBONE.UNSEEN_CAMERA allows it.
    """
    for name in cfg.DATASETS.TESTS:
        dataset = build_dataset(cfg, name)
        as_the_model_knows_them(cfg, name, dataset.test)
        if comm.is_main_process():
            dataset.show_test()
            for doubt in doubts(dataset):
                logger.warning(f"{name} is not the full dataset, so that metrics differ from published ones: {doubt}")


def evaluate_test_set(cfg: Any, model: nn.Module, name: str) -> tuple[CrossModalityEvaluator, dict[str, float]]:
    """Embeds and ranks one test set, and saves its features if TEST.SAVE_FEATURES says so; collective.

    Returns the evaluator, and the metrics in percent, such as "I2V/mAP"; none on all but the main process.
    """
    evaluator = CrossModalityEvaluator(cfg, build_dataset(cfg, name))
    tracklets = as_the_model_knows_them(cfg, name, evaluator.tracklets)
    loader = build_clip_loader(cfg, tracklets, cfg.TEST.FRAMES)
    return evaluator, evaluate(Embedder(model, cfg.TEST.FLIP.ENABLED, autocast(cfg)), loader, evaluator)


def evaluate_test_sets(
    cfg: Any, model: nn.Module, label: str = ALONE, checkpoint: Path | None = None
) -> dict[str, float]:
    """Evaluates every test set, and writes the results; collective.

    Args:
        cfg: complete.
        model: maps a batch of clips to embeddings in eval mode.
        label: names the table's row and the file, see :func:`~xreid_plugin.evaluation.results.write_results`. Beside
            the file of :data:`ALONE` lies its configuration, ``config_*.yaml``.
        checkpoint: that the weights are from; None in a training.

    Returns:
        Metrics in percent, such as "I2V/mAP" and "I2V-reranked/mAP"; with several datasets "NAME/I2V/mAP". Empty on all
        but the main process.
    """
    results: dict[str, float] = {}
    folder, several = Path(cfg.OUTPUT_DIR), len(cfg.DATASETS.TESTS) > 1
    for name in cfg.DATASETS.TESTS:
        evaluator, metrics = evaluate_test_set(cfg, model, name)
        if comm.is_main_process():
            protocol = evaluator.protocol
            facts = {
                "weights": evaluator.weights,
                "fingerprint": evaluator.model,
                # Below the folder of the run that it is of.
                "checkpoint": str(checkpoint.resolve()).removeprefix(f"{folder.resolve()}/") if checkpoint else "",
                "seed": cfg.SEED,
                "version": __version__,
                "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            }
            row = checkpoint.name if checkpoint else label
            heading = f"{dataset_title(protocol)}, {row}, {protocol_line(protocol)}; in percent:"
            logger.info(f"{heading}\n{results_table({row: metrics})}")
            found = Results(metrics, protocol, evaluator.curves, facts)
            path = write_results(folder, label, name if several else "", found)
            if label == ALONE:
                config = path.with_name(path.name.replace("results", "config", 1)).with_suffix(".yaml")
                replace_atomically(config, lambda part: part.write_text(cfg.dump(), encoding="utf-8"))
            logger.info(f"Written to {path}")
            results.update({f"{name}/{key}" if several else key: value for key, value in metrics.items()})
    return results


def as_the_model_knows_them(cfg: Any, name: str, tracklets: Sequence[Tracklet]) -> Sequence[Tracklet]:
    """Tracklets to embed: without their cameras where these are of another dataset than the model was trained on.

    Args:
        cfg: DATASETS.NAMES names what the model was trained on, a checkpoint's own set where there is one.
        name: of the dataset that the tracklets are of.
        tracklets: of it.

    Raises:
        ValueError: under MODEL.BACKBONE.UNSEEN_CAMERA error, a camera without an embedding; names sets and cameras.
    """
    if not embeds_cameras(cfg):
        return tracklets
    of_others = name not in cfg.DATASETS.NAMES
    found, known = {tracklet.camid for tracklet in tracklets}, set(cfg.MODEL.BACKBONE.CAMERAS)
    # Before a configuration is completed it knows no cameras.
    unseen = found if of_others else found - known if known else set()
    if unseen and cfg.MODEL.BACKBONE.UNSEEN_CAMERA == "error":
        raise ValueError(
            f"The test set of {name} has cameras {sorted(unseen)}, of which the model, trained on cameras "
            f"{sorted(known)} of {', '.join(cfg.DATASETS.NAMES)}, has no embedding: numbers of cameras mean something "
            "within one dataset alone. MODEL.BACKBONE.UNSEEN_CAMERA none embeds their frames without one."
        )
    return [tracklet._replace(camid=NO_CAMERA) for tracklet in tracklets] if of_others else tracklets
