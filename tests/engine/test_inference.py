from contextlib import nullcontext

import pytest
import torch
from torch import nn

from tests.data.small_set import small_config
from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.data.tracklet import IMAGES
from xreid_plugin.engine.inference import Embedder, evaluate
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.evaluation.rules import RankingRules
from xreid_plugin.evaluation.scoring import FIGURES, rankings


class CoarsePixels(nn.Module):
    """A model without weights: the mean over a clip of its pictures, shrunk."""

    def forward(self, batch):
        clips = batch[IMAGES].float()
        small = nn.functional.adaptive_avg_pool2d(clips.flatten(0, 1), (6, 3))
        return small.reshape(*clips.shape[:2], -1).mean(1)


def test_mirrored_clips_are_averaged_along_the_width():
    picture = torch.arange(6.0).reshape(1, 1, 1, 2, 3).expand(1, 1, 3, 2, 3)
    model = Embedder(nn.Sequential(Picture()), flip=True, autocast=nullcontext())
    mirrored = torch.tensor([[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]])
    torch.testing.assert_close(model({IMAGES: picture})[0, 0, 0], (picture[0, 0, 0] + mirrored) / 2)


class Picture(nn.Module):
    def forward(self, batch):
        return batch[IMAGES]


@pytest.fixture(scope="module")
def evaluation(small_set, tmp_path_factory):
    """One evaluation of everything: its figures, its file of features and its folder."""
    output = tmp_path_factory.mktemp("evaluation")
    cfg = small_config(
        small_set,
        output,
        *("TEST.SAVE_FEATURES", str(output / "features.npz"), "TEST.RERANK.ENABLED", "True"),
        *("TEST.RERANK.TEMPORAL.ENABLED", "True", "MODEL.DEVICE", "cpu"),
    )
    return XReIDTrainer.test(cfg, CoarsePixels(), "once"), load_features(output / "features.npz"), output


def test_one_evaluation_gives_raw_reranked_and_temporal_figures(evaluation):
    figures, _, output = evaluation
    labels = [f"{direction}{suffix}" for direction in ("I2V", "V2I") for suffix in ("", "-reranked", "-temporal")]
    assert list(figures) == [f"{label}/{name}" for label in labels for name in FIGURES]
    assert (output / "results_once.json").is_file()


def test_its_features_give_the_same_figures_again(evaluation):
    figures, data, _ = evaluation
    found = rankings(data, RankingRules.from_json(data.protocol))
    assert {f"{r.label}/{name}": value for r in found for name, value in r.figures.items()} == figures


def test_halves_embed_the_frames_of_the_halves(evaluation, small_set, tmp_path):
    _, data, _ = evaluation
    cfg = small_config(small_set, tmp_path, "MODEL.DEVICE", "cpu")
    tracklets = build_dataset(cfg, "HITSZVCM").test
    for half, features in ((0, data.first_half), (1, data.second_half)):
        cut = [(t, slice(len(t.paths) // 2, None) if half else slice(len(t.paths) // 2)) for t in tracklets]
        loader = build_clip_loader(cfg, [t._replace(paths=t.paths[part]) for t, part in cut], "even")
        model = CoarsePixels()
        expected = torch.cat([model(batch) for batch in loader])
        torch.testing.assert_close(torch.from_numpy(features), expected)


def test_dense_features_are_means_over_clips(small_set, tmp_path):
    path = tmp_path / "dense.npz"
    cfg = small_config(
        small_set, tmp_path, "TEST.FRAMES", "dense", "TEST.SAVE_FEATURES", str(path), "MODEL.DEVICE", "cpu"
    )
    dataset = build_dataset(cfg, "HITSZVCM")
    evaluator = CrossModalityEvaluator(cfg, dataset)
    embedder = Embedder(CoarsePixels(), flip=False, autocast=nullcontext())
    evaluate(embedder, build_clip_loader(cfg, evaluator.tracklets, "dense"), evaluator)
    loader = build_clip_loader(cfg, dataset.test[:1], "dense")
    (clips,) = [CoarsePixels()(batch) for batch in loader]
    assert len(clips) > 1
    torch.testing.assert_close(torch.from_numpy(load_features(path).features[0]), clips.mean(0))
