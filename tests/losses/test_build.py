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
        "modalities": torch.tensor([0, 0, 1, 1]),
        "tower_feature": random(4, 6, seed=1),
        "metric_features": {name: random(4, 4, seed=seed) for seed, name in enumerate(["class", "projected", "mii"])},
        "clip_logits": {name: random(4, 2, seed=9 + seed) for seed, name in enumerate(["tower", "mii"])},
        "frame_logits": {name: random(4, FRAMES, 2, seed=seed) for seed, name in enumerate(["tower", "mii"])},
        "sequences": {name: random(4, 4, seed=20 + seed) for seed, name in enumerate(["sii", "lii"])},
        "counterparts": {name: random(4, 4, seed=30 + seed) for seed, name in enumerate(["sii", "lii"])},
        "prototypes": Prototypes(visible=torch.eye(2, 6), infrared=torch.eye(2, 6).flip(1)),
    }
    return ClipOutputs(**(features | changes))


def values_of(cfg, outputs):
    return {name: value for term in build_losses(cfg) for name, value in term(outputs).items()}


def test_clip_level_cross_entropy_weighs_a_quarter_a_branch():
    # Logits of (0, log 3) give 1/4 to identity 0 and 3/4 to identity 1; the clips hold two of each.
    logits = torch.tensor([0.0, math.log(3)]).expand(4, 2)
    one = (math.log(4) + math.log(4 / 3)) / 2
    outputs = make_outputs(clip_logits=dict.fromkeys(["tower", "mii"], logits))
    assert_close(values_of(make_cfg("CrossEntropyLoss"), outputs)["loss_ce_clip"].item(), 0.25 * 2 * one)
    fewer = make_outputs(clip_logits={"tower": logits})
    assert_close(values_of(make_cfg("CrossEntropyLoss"), fewer)["loss_ce_clip"].item(), 0.25 * one)


def test_frame_level_cross_entropy_is_the_mean_over_frames_times_one_nth():
    outputs = make_outputs()
    expected = 0.0
    for logits in outputs.frame_logits.values():
        costs = [F.cross_entropy(logits[clip, t], TARGETS[clip]).item() for clip in range(4) for t in range(FRAMES)]
        expected += sum(costs) / len(costs) / FRAMES
    assert_close(values_of(make_cfg("CrossEntropyLoss"), outputs)["loss_ce_frame"].item(), expected)


def test_without_collaboration_a_clip_meets_its_own_modality_alone():
    outputs, cfg = make_outputs(), make_cfg("CPCL")
    cfg.MODEL.CPC.COLLABORATION = False
    memories = outputs.prototypes
    expected = cpcl_loss(outputs.tower_feature, TARGETS, *memories, 0.05, own_modality=outputs.modalities)
    assert_close(values_of(cfg, outputs)["loss_cpcl"], expected)


def test_cmcl_is_summed_over_branches():
    outputs = make_outputs()
    expected = sum(cmcl_loss(outputs.sequences[name], outputs.counterparts[name]) for name in ("sii", "lii"))
    assert_close(values_of(make_cfg("CMCL"), outputs)["loss_cmcl"], expected)


def test_weights_multiply():
    outputs = make_outputs()
    plain = values_of(make_cfg(*ALL), outputs)
    cfg = make_cfg(*ALL)
    losses = cfg.MODEL.LOSSES
    losses.CPCL.SCALE, losses.TRI.SCALE, losses.CE.CLIP_SCALE, losses.CE.FRAME_SCALE = 2.0, 3.0, 0.5, 7.0
    losses.CMCL.SCALE = 11.0
    factors = {
        "loss_cpcl": 2,
        "loss_triplet": 3,
        "loss_ce_clip": 2,
        "loss_ce_frame": 7,
        "loss_cmcl": 11,
    }
    for name, value in values_of(cfg, outputs).items():
        assert_close(value, factors[name] * plain[name], msg=name)


def test_margin_temperature_and_negatives_come_from_the_configuration():
    outputs = make_outputs()
    cfg = make_cfg("TripletLoss", "CPCL")
    cfg.MODEL.LOSSES.TRI.MARGIN = 50.0
    cfg.MODEL.CPC.TEMPERATURE = 0.5
    cfg.MODEL.CPC.NEGATIVES = "batch"
    values = values_of(cfg, outputs)
    # A margin beyond all distances opens every hinge, so that each of three features costs that much more.
    expected = sum(triplet_loss(feature, TARGETS, 60.0).item() - 10 for feature in outputs.metric_features.values())
    assert_close(values["loss_triplet"].item(), expected)
    expected = cpcl_loss(outputs.tower_feature, TARGETS, *outputs.prototypes, 0.5, negatives="batch")
    assert_close(values["loss_cpcl"], expected)


def test_two_losses_that_give_a_term_of_one_name_are_refused():
    losses = build_losses(make_cfg(*ALL))
    assert len(computed_terms(losses, make_outputs())) == 5
    with pytest.raises(ValueError, match="loss_triplet"):
        computed_terms([*losses, lambda outputs: {"loss_triplet": torch.tensor(1.0)}], make_outputs())


def test_triplets_of_all_features_weigh_one():
    outputs = make_outputs()
    expected = sum(triplet_loss(feature, TARGETS, 0.3).item() for feature in outputs.metric_features.values())
    assert_close(values_of(make_cfg("TripletLoss"), outputs)["loss_triplet"].item(), expected)
