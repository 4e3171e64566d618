"""The datasets of DATASETS.TESTS: shown before training, and evaluated in both directions."""

import logging
from pathlib import Path
from typing import Any

from fastreid.utils import comm
from torch import nn

from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.engine.inference import Embedder, evaluate
from xreid_plugin.engine.precision import autocast
from xreid_plugin.engine.unseen_cameras import as_the_model_knows_them, refuse_unseen_cameras
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.ranking import results_table, title_of, write_results

logger = logging.getLogger(__name__)


def show_test_sets(cfg: Any) -> None:
    """Logs what DATASETS.TESTS hold; before training, so that what is wrong is found then and not epochs later.

    Raises:
        ValueError: a test camera that training has not seen, unless MODEL.BACKBONE.UNSEEN_CAMERA allows it.
    """
    for name in cfg.DATASETS.TESTS:
        dataset = build_dataset(cfg, name)
        refuse_unseen_cameras(cfg, name, dataset.test)
        if comm.is_main_process():
            dataset.show_test()


def evaluate_test_set(cfg: Any, model: nn.Module, name: str) -> tuple[CrossModalityEvaluator, dict[str, float]]:
    """Embeds and ranks one test set, and saves its features if TEST.SAVE_FEATURES says so; collective.

    Args:
        cfg: complete.
        model: maps a batch of clips to embeddings in eval mode.
        name: of the dataset.

    Returns:
        The evaluator, and the figures in percent, such as "I2V/mAP"; none on all but the main process.
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
        Figures in percent, such as "I2V/mAP" and "I2V-reranked/mAP"; with several datasets "NAME/I2V/mAP". Empty on all
        but the main process.
    """
    results: dict[str, float] = {}
    several = len(cfg.DATASETS.TESTS) > 1
    for name in cfg.DATASETS.TESTS:
        evaluator, figures = evaluate_test_set(cfg, model, name)
        if comm.is_main_process():
            title = title_of(label)
            logger.info(f"{name}, {title}, in percent:\n" + results_table({title: figures}))
            file = f"results_{f'{name}_' if several else ''}{label.replace(' ', '_')}.json"
            path = Path(cfg.OUTPUT_DIR) / file
            write_results(path, figures, evaluator.protocol, evaluator.curves)
            logger.info(f"Written to {path}")
            results.update({f"{name}/{key}" if several else key: value for key, value in figures.items()})
    return results
