import pytest
import torch

from xreid_plugin.data.tracklet import IMAGES
from xreid_plugin.engine.passes import InParts


class Scarce:
    """Embeds clips as their means; memory ends, as torch says it, above so many clips."""

    def __init__(self, most):
        self.most = most
        self.sizes = []

    def __call__(self, batch):
        self.sizes.append(len(batch[IMAGES]))
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch[IMAGES].flatten(1).mean(1, keepdim=True)


def test_a_batch_that_does_not_fit_is_embedded_in_parts(caplog):
    clips = {IMAGES: torch.arange(33.0).reshape(11, 3)}
    scarce = Scarce(3)
    in_parts = InParts(scarce)
    torch.testing.assert_close(in_parts(clips), clips[IMAGES].mean(1, keepdim=True))
    assert scarce.sizes == [11, 6, 3, 3, 3, 2]
    assert "11 clips at a time do not fit into memory: going on with 6." in caplog.text
    # The next batch starts with what has fitted.
    in_parts(clips)
    assert scarce.sizes[6:] == [3, 3, 3, 2]


def test_a_single_clip_that_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        InParts(Scarce(0))({IMAGES: torch.ones(2, 3)})
