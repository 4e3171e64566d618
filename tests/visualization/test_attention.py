import numpy as np
import pytest
import torch

from tests.modeling.tiny_model import make_model
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.visualization.attention import attention_maps, choose_tracklets

T = 3
CAMERAS = torch.tensor([3, 8])


@pytest.fixture(scope="module")
def model():
    return make_model(**{"MODEL.MII.SII.DEPTH": 2}).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randint(256, (2, T, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def tracklet(pid, modality, name="t"):
    return Tracklet(["a.jpg"], pid, int(CAMERAS[modality]), modality, name)


def test_an_even_share_is_one(model, images):
    with pytest.raises(ValueError, match=r"MODEL\.MII"):
        attention_maps(make_model(off=("SII", "LII", "CII")).eval(), images, CAMERAS)
    maps = attention_maps(model, images, CAMERAS)
    depth = len(model.mii["sii"].blocks)
    assert list(maps) == [*(f"SII {number}" if depth > 1 else "SII" for number in range(1, depth + 1)), "LII"]
    for values in maps.values():
        assert values.shape == (2, T, *model.backbone.grid)
        assert np.allclose(values.mean((2, 3)), 1, atol=1e-5)
        assert values.max() > 1.01


def test_maps_lie_on_the_frames_that_were_read(model, images):
    # A bright patch in one frame changes most what is read there, and nothing in the other clip.
    changed = images.clone()
    changed[1, 1, :, :8, :8] = 255
    before, after = (attention_maps(model, pictures, CAMERAS) for pictures in (images, changed))
    difference = {name: np.abs(values - before[name]).max((2, 3)) for name, values in after.items()}
    assert difference["LII"][1].argmax() == 1
    assert all((values[0] < 1e-6).all() for values in difference.values())


def test_a_person_has_a_tracklet_of_each_modality():
    everybody = [tracklet(pid, modality, name) for pid in range(9) for modality in Modality for name in "ab"]
    everybody.append(tracklet(9, Modality.VISIBLE))
    found = [choose_tracklets(everybody, 4, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert len({one.pid for one in found[0]}) == 4
    for infrared, visible in zip(found[0][::2], found[0][1::2], strict=True):
        assert infrared.pid == visible.pid != 9
        assert (infrared.modality, visible.modality) == tuple(Modality)
    with pytest.raises(ValueError, match="both modalities"):
        choose_tracklets(everybody[-1:], 4, 0)
