from contextlib import nullcontext

import pytest
import torch
from torch import nn

from tests.data.small_set import small_config
from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.data.frame_reader import ClipFaults
from xreid_plugin.data.tracklet import IMAGES
from xreid_plugin.engine.inference import Embedder, autocast, bad_clips, log_bad_frames
from xreid_plugin.engine.step import gradient_scaler
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.evaluation.features import load_features


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


# Half of the least number that float16 has.
SMALL_GRADIENT = torch.tensor(2.0**-25)


@pytest.mark.parametrize(
    ("enabled", "name", "dtype"),
    [(False, "float16", torch.float32), (True, "bfloat16", torch.bfloat16), (True, "float16", torch.float16)],
)
def test_products_have_the_number_type_and_no_gradient_is_too_small_for_it(enabled, name, dtype):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", enabled, "SOLVER.AMP.DTYPE", name])
    context, square = autocast(cfg), torch.eye(2)
    for _ in range(2):
        with context:
            assert (square @ square).dtype == dtype
        assert (square @ square).dtype == torch.float32
    assert gradient_scaler(cfg).scale(SMALL_GRADIENT).to(dtype) > 0


CLIPS = [
    ClipFaults("A", []),
    ClipFaults("B", ["b1", "b2"]),
    ClipFaults("C", []),
    ClipFaults("B", ["b1"]),
]


def summed_on_rank(rank, folder):
    return log_bad_frames("Training", bad_clips(CLIPS[2 * rank : 2 * rank + 2]))


@pytest.mark.slow
def test_bad_frames_are_summed_up_in_one_line(tmp_path, caplog):
    assert log_bad_frames("Training, epoch 3", bad_clips(CLIPS)) == 3
    log_bad_frames("Training, epoch 4", bad_clips(CLIPS[:1]))
    [line] = caplog.messages
    assert line.startswith("Training, epoch 3: 3 bad frames in 1 tracklets were substituted, such as b1, b2. ")
    assert run_on_two_ranks(summed_on_rank, tmp_path) == [3, 0]
