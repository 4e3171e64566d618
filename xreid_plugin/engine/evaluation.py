"""The datasets of DATASETS.TESTS: shown before training, and evaluated in both directions.

A model that embeds cameras knows those of its training set; numbers of cameras mean something within one dataset alone.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastreid.utils import comm
from torch import nn

from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.engine.inference import Embedder, autocast, evaluate
from xreid_plugin.engine.setup import embeds_cameras
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.ranking import results_table, title_of, write_results

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


def evaluate_test_set(cfg: Any, model: nn.Module, name: str) -> tuple[CrossModalityEvaluator, dict[str, float]]:
    """Embeds and ranks one test set, and saves its features if TEST.SAVE_FEATURES says so; collective.

    Args:
        cfg: complete.
        model: maps a batch of clips to embeddings in eval mode.
        name: of the dataset.

    Returns:
        The evaluator, and the metrics in percent, such as "I2V/mAP"; none on all but the main process.
    """
    evaluator = CrossModalityEvaluator(cfg, build_dataset(cfg, name))
    tracklets = as_the_model_knows_them(cfg, name, evaluator.tracklets)
    loader = build_clip_loader(cfg, tracklets, cfg.TEST.FRAMES)
    return evaluator, evaluate(Embedder(model, cfg.TEST.FLIP.ENABLED, autocast(cfg)), loader, evaluator)


def evaluate_test_sets(cfg: Any, model: nn.Module, label: str) -> dict[str, float]:
    """Evaluates every test set, and writes ``results_LABEL.json``; collective.

    Args:
        cfg: complete.
        model: maps a batch of clips to embeddings in eval mode.
        label: names the file, and the table's row by :func:`~xreid_plugin.evaluation.ranking.title_of`.

    Returns:
        Metrics in percent, such as "I2V/mAP" and "I2V-reranked/mAP"; with several datasets "NAME/I2V/mAP". Empty on all
        but the main process.
    """
    results: dict[str, float] = {}
    several = len(cfg.DATASETS.TESTS) > 1
    for name in cfg.DATASETS.TESTS:
        evaluator, metrics = evaluate_test_set(cfg, model, name)
        if comm.is_main_process():
            title = title_of(label)
            logger.info(f"{name}, {title}, in percent:\n" + results_table({title: metrics}))
            file = f"results_{f'{name}_' if several else ''}{label.replace(' ', '_')}.json"
            path = Path(cfg.OUTPUT_DIR) / file
            write_results(path, metrics, evaluator.protocol, evaluator.curves)
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
    # Before a configuration is completed it knows no cameras; the model itself then refuses them.
    unseen = found if of_others else found - known if known else set()
    if unseen and cfg.MODEL.BACKBONE.UNSEEN_CAMERA == "error":
        raise ValueError(
            f"The test set of {name} has cameras {sorted(unseen)}, of which the model, trained on cameras "
            f"{sorted(known)} of {', '.join(cfg.DATASETS.NAMES)}, has no embedding: numbers of cameras mean something "
            "within one dataset alone. MODEL.BACKBONE.UNSEEN_CAMERA none embeds their frames without one."
        )
    return [tracklet._replace(camid=NO_CAMERA) for tracklet in tracklets] if of_others else tracklets
