import numpy as np
import pytest
import torch

from tests.data.small_set import small_config
from tests.modeling.tiny_model import make_model
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.modeling.sii import temporal_shift
from xreid_plugin.visualization.attention_maps import ClipPair, attention_maps, choose_pairs
from xreid_plugin.visualization.attention_panels import attention_panels, heat_map
from xreid_plugin.visualization.attention_weights import attention_weights
from xreid_plugin.visualization.panels import render

T = 3


@pytest.fixture(scope="module")
def model():
    return make_model().eval()


@pytest.fixture(scope="module")
def pair():
    images = torch.randint(256, (2, T, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tracklets = [Tracklet(["a.jpg"], 4, camid, modality, "t") for camid, modality in zip((3, 8), Modality, strict=True)]
    return ClipPair(images, tuple(tracklets), torch.tensor([tracklet.camid for tracklet in tracklets]))


def tokens_of(model, pair):
    normal = (pair.images.flatten(0, 1).float() - model.pixel_mean) / model.pixel_std
    with torch.no_grad():
        return model.backbone(normal, torch.tensor([3] * T + [8] * T)).tokens.unflatten(0, (2, T))


def test_maps_lie_on_the_frames_that_were_read(model, pair):
    tokens = tokens_of(model, pair)
    grid, patches = model.backbone.grid, tokens.shape[2] - 1
    maps = attention_maps(model, pair, with_cii=True)
    assert list(maps) == ["SII 1", "SII 2", "LII", "CII"]
    for clip in range(2):
        own = tokens[clip]
        shifted = temporal_shift(tokens[clip : clip + 1, :, 1:], model.mii["sii"].stride)[0]
        everything = own[:, 1:].flatten(0, 1)[None]
        with torch.no_grad():
            by_partner = attention_weights(model.mii["cii"].block, tokens[1 - clip, :, 0][None], everything)
            by_partner = by_partner.mean((0, 1, 2)).reshape(T, -1) * T * patches
            for t in range(T):
                sii = attention_weights(model.mii["sii"].blocks[0], own[t, :1][None], shifted[t][None])
                later = own[(t + model.mii["lii"].stride) % T, :1][None]
                lii = attention_weights(model.mii["lii"].block, later, own[t, 1:][None])
                expected = {"SII 1": sii.mean((0, 1, 2)) * patches, "LII": lii.mean((0, 1, 2)) * patches}
                for name, values in {**expected, "CII": by_partner[t]}.items():
                    assert np.allclose(maps[name][clip, t], values.reshape(grid).numpy(), atol=1e-4), name


def test_an_even_share_is_one(model, pair):
    maps = attention_maps(model, pair, with_cii=True)
    for name, values in maps.items():
        per_reader = values.mean((1, 2, 3) if name == "CII" else (2, 3))
        assert np.allclose(per_reader, 1, atol=1e-5)


def test_untrained_weights_of_cii_are_not_shown(model, pair):
    assert "CII" not in attention_maps(model, pair, with_cii=False)


def test_nothing_stays_in_the_model(model, pair):
    attention_maps(model, pair, with_cii=True)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_without_interactions_has_no_maps(pair):
    bare = make_model(off=("SII", "LII", "CII")).eval()
    with pytest.raises(ValueError, match="none of SII, LII and CII"):
        attention_maps(bare, pair, with_cii=True)


def test_pairs_are_of_one_person_and_both_modalities(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    pairs = choose_pairs(cfg, 3, seed=1)
    assert len(pairs) == 3
    for pair in pairs:
        infrared, visible = pair.tracklets
        assert infrared.pid == visible.pid
        assert (infrared.modality, visible.modality) == tuple(Modality)
        assert pair.images.shape == (2, 3, 3, 48, 24)
    again, other = (choose_pairs(cfg, 3, seed=seed) for seed in (1, 2))
    assert [p.tracklets for p in again] == [p.tracklets for p in pairs]
    assert [p.tracklets for p in other] != [p.tracklets for p in pairs]


def test_a_heat_map_is_brightest_where_the_weight_is():
    frame = np.full((40, 20, 3), 100, np.uint8)
    values = np.zeros((4, 2), np.float32)
    values[3, 1] = 1
    painted = heat_map(frame, values).astype(int).sum(2)
    assert np.unravel_index(painted.argmax(), painted.shape)[0] >= 30
    assert painted[:10, :].max() < painted[35, 15]


def test_maps_are_drawn(model, pair):
    panels = attention_panels(pair, attention_maps(model, pair, with_cii=True))
    assert [panel.title for panel in panels] == ["Person 4, infrared camera 3", "Person 4, visible camera 8"]
    assert "SII 1, SII 2, LII, CII" in panels[0].alt
    assert len(render(panels, "png")) > 10_000
