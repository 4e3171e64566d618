from contextlib import nullcontext

import pytest
import torch
from torch import nn

from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.data.frame_reader import ClipFaults
from xreid_plugin.data.tracklet import IMAGES
from xreid_plugin.engine.inference import Embedder, autocast, bad_clips, log_bad_frames
from xreid_plugin.engine.step import gradient_scaler


def test_mirrored_clips_are_averaged_along_the_width():
    picture = torch.arange(6.0).reshape(1, 1, 1, 2, 3).expand(1, 1, 3, 2, 3)
    model = Embedder(nn.Sequential(Picture()), flip=True, autocast=nullcontext())
    mirrored = torch.tensor([[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]])
    torch.testing.assert_close(model({IMAGES: picture})[0, 0, 0], (picture[0, 0, 0] + mirrored) / 2)


class Picture(nn.Module):
    def forward(self, batch):
        return batch[IMAGES]


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


CLIPS = [ClipFaults("A", []), ClipFaults("B", ["b1", "b2"]), ClipFaults("C", []), ClipFaults("B", ["b1"])]


def summed_on_rank(rank, folder):
    return log_bad_frames("Training", bad_clips(CLIPS[2 * rank : 2 * rank + 2]))


@pytest.mark.slow
def test_bad_frames_are_summed_up_in_one_line(tmp_path, caplog):
    assert log_bad_frames("Training, epoch 3", bad_clips(CLIPS)) == 3
    log_bad_frames("Training, epoch 4", bad_clips(CLIPS[:1]))
    [line] = caplog.messages
    assert line.startswith("Training, epoch 3: 3 bad frames in 1 tracklets were substituted, such as b1, b2. ")
    assert run_on_two_ranks(summed_on_rank, tmp_path) == [3, 0]
