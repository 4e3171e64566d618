import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xreid_plugin.config import get_cfg
from xreid_plugin.losses.build import build_losses, computed_terms
from xreid_plugin.losses.cmcl import cmcl_loss
from xreid_plugin.losses.cpcl import cpcl_loss
from xreid_plugin.losses.outputs import ClipOutputs, Prototypes
from xreid_plugin.losses.triplet import triplet_loss
from xreid_plugin.registry import LOSS_REGISTRY

ALL = ("CPCL", "TripletLoss", "CrossEntropyLoss", "CMCL")
TARGETS = torch.tensor([0, 0, 1, 1])
FRAMES = 3


def make_cfg(*names):
    cfg = get_cfg()
    cfg.MODEL.LOSSES.NAME = names
    return cfg


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_outputs(**changes):
    features = {
        "targets": TARGETS,
        "tower_feature": random(4, 6, seed=1),
        "metric_features": {
            name: random(4, 4, seed=seed) for seed, name in enumerate(["class", "projected", "sii", "lii", "cii"])
        },
        "clip_logits": {name: random(4, 2, seed=9 + seed) for seed, name in enumerate(["tower", "sii", "lii", "cii"])},
        "frame_logits": {name: random(4, FRAMES, 2, seed=seed) for seed, name in enumerate(["tower", "sii", "lii"])},
        "prototypes": Prototypes(visible=torch.eye(2, 6), infrared=torch.eye(2, 6).flip(1)),
    }
    return ClipOutputs(**(features | changes))


def values_of(cfg, outputs):
    return {name: value for term in build_losses(cfg) for name, value in term(outputs).items()}


@pytest.mark.parametrize("name", sorted(LOSS_REGISTRY._obj_map))
def test_every_term_gives_finite_scalars(name):
    values = values_of(make_cfg(name), make_outputs())
    assert values
    for key, value in values.items():
        # The host's trainer and log know a loss by its name.
        assert key.startswith("loss_")
        assert value.shape == ()
        assert value.isfinite()


def test_the_papers_four_terms_have_names_of_their_own_and_keep_their_order():
    assert list(values_of(make_cfg(*ALL), make_outputs())) == [
        "loss_cpcl",
        "loss_triplet",
        "loss_ce_clip",
        "loss_ce_frame",
        "loss_cmcl_align",
        "loss_cmcl_transfer",
    ]


def test_clip_level_cross_entropy_weighs_a_quarter_a_branch():
    # Logits of (0, log 3) give 1/4 to identity 0 and 3/4 to identity 1; the clips hold two of each.
    logits = torch.tensor([0.0, math.log(3)]).expand(4, 2)
    one = (math.log(4) + math.log(4 / 3)) / 2
    outputs = make_outputs(clip_logits=dict.fromkeys(["tower", "sii", "lii", "cii"], logits))
    assert_close(values_of(make_cfg("CrossEntropyLoss"), outputs)["loss_ce_clip"].item(), 0.25 * 4 * one)
    fewer = make_outputs(clip_logits={"tower": logits})
    assert_close(values_of(make_cfg("CrossEntropyLoss"), fewer)["loss_ce_clip"].item(), 0.25 * one)


def test_frame_level_cross_entropy_weighs_one_nth_a_frame():
    outputs = make_outputs()
    expected = 0.0
    for logits in outputs.frame_logits.values():
        for frame in range(FRAMES):
            expected += F.cross_entropy(logits[:, frame], TARGETS).item() / FRAMES
    assert_close(values_of(make_cfg("CrossEntropyLoss"), outputs)["loss_ce_frame"].item(), expected)


def test_triplets_of_all_features_weigh_one():
    outputs = make_outputs()
    expected = sum(triplet_loss(feature, TARGETS, 0.3).item() for feature in outputs.metric_features.values())
    assert_close(values_of(make_cfg("TripletLoss"), outputs)["loss_triplet"].item(), expected)


def test_cpcl_reads_each_memory_once_at_a_twentieth():
    outputs = make_outputs()
    expected = cpcl_loss(outputs.tower_feature, TARGETS, outputs.prototypes.visible, outputs.prototypes.infrared, 0.05)
    assert_close(values_of(make_cfg("CPCL"), outputs)["loss_cpcl"], expected)


def test_cmcl_teaches_the_mean_of_the_logits_that_inference_keeps():
    outputs = make_outputs()
    logits = outputs.clip_logits
    plain = (logits["tower"] + logits["sii"] + logits["lii"]) / 3
    align, transfer = cmcl_loss(outputs.metric_features["cii"], logits["cii"], plain, 4.0)
    values = values_of(make_cfg("CMCL"), outputs)
    assert_close(values["loss_cmcl_align"], align)
    assert_close(values["loss_cmcl_transfer"], transfer)


def test_weights_multiply():
    outputs = make_outputs()
    plain = values_of(make_cfg(*ALL), outputs)
    cfg = make_cfg(*ALL)
    losses = cfg.MODEL.LOSSES
    losses.CPCL.SCALE, losses.TRI.SCALE, losses.CE.CLIP_SCALE, losses.CE.FRAME_SCALE = 2.0, 3.0, 0.5, 7.0
    losses.CMCL.ALIGN, losses.CMCL.TRANSFER = 11.0, 13.0
    factors = {
        "loss_cpcl": 2,
        "loss_triplet": 3,
        "loss_ce_clip": 2,
        "loss_ce_frame": 7,
        "loss_cmcl_align": 11,
        "loss_cmcl_transfer": 13,
    }
    for name, value in values_of(cfg, outputs).items():
        assert_close(value, factors[name] * plain[name], msg=name)


def test_margin_and_temperatures_come_from_the_configuration():
    outputs = make_outputs()
    cfg = make_cfg("TripletLoss", "CPCL", "CMCL")
    cfg.MODEL.LOSSES.TRI.MARGIN = 50.0
    cfg.MODEL.CPC.TEMPERATURE = 0.5
    cfg.MODEL.LOSSES.CMCL.TEMPERATURE = 1.5
    values = values_of(cfg, outputs)
    # A margin beyond all distances opens every hinge, so that each of five features costs that much more.
    expected = sum(triplet_loss(feature, TARGETS, 60.0).item() - 10 for feature in outputs.metric_features.values())
    assert_close(values["loss_triplet"].item(), expected)
    assert_close(values["loss_cpcl"], cpcl_loss(outputs.tower_feature, TARGETS, *outputs.prototypes, 0.5))
    plain = torch.stack([outputs.clip_logits[name] for name in ("tower", "sii", "lii")]).mean(0)
    cii = outputs.metric_features["cii"], outputs.clip_logits["cii"]
    assert_close(values["loss_cmcl_transfer"], cmcl_loss(*cii, plain, 1.5)[1])


def test_unknown_terms_are_told_with_the_known_ones():
    with pytest.raises(ValueError, match=r'MODEL\.LOSSES\.NAME.*"CircleLoss".*CMCL, CPCL.*CrossEntropyLoss'):
        build_losses(make_cfg("CPCL", "CircleLoss"))


def test_no_terms_at_all():
    with pytest.raises(ValueError, match=r"MODEL\.LOSSES\.NAME is empty"):
        build_losses(make_cfg())


def test_a_term_whose_part_of_the_model_is_off():
    cfg = make_cfg(*ALL)
    cfg.MODEL.CPC.ENABLED = False
    with pytest.raises(ValueError, match=r"CPCL.*MODEL\.CPC\.ENABLED is False"):
        build_losses(cfg)
    cfg = make_cfg(*ALL)
    cfg.MODEL.MII.CII.ENABLED = False
    with pytest.raises(ValueError, match=r"CMCL.*MODEL\.MII\.CII\.ENABLED is False"):
        build_losses(cfg)


def test_two_losses_that_give_a_term_of_one_name_are_refused():
    losses = build_losses(make_cfg(*ALL))
    assert len(computed_terms(losses, make_outputs())) == 6
    with pytest.raises(ValueError, match="term named loss_triplet: one would not count"):
        computed_terms([*losses, lambda outputs: {"loss_triplet": torch.tensor(1.0)}], make_outputs())
