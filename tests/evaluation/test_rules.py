import functools
import json
import operator

import pytest

from xreid_plugin.config import get_cfg
from xreid_plugin.evaluation.rules import Expansion, KReciprocal, RankingRules, Temporal


def test_the_defaults_of_the_configuration_rank_by_the_raw_distance_alone():
    assert RankingRules.from_config(get_cfg()) == RankingRules()


def test_every_part_is_read_from_its_keys():
    cfg = get_cfg()
    overrides = {
        "TEST.SAME_CAMERA": "keep",
        "TEST.AQE.ENABLED": True,
        "TEST.AQE.QE_TIME": 2,
        "TEST.AQE.QE_K": 7,
        "TEST.AQE.ALPHA": 1.5,
        "TEST.RERANK.ENABLED": True,
        "TEST.RERANK.K1": 11,
        "TEST.RERANK.K2": 4,
        "TEST.RERANK.LAMBDA": 0.25,
        "TEST.RERANK.TEMPORAL.ENABLED": True,
        "TEST.RERANK.TEMPORAL.K1": 9,
        "TEST.RERANK.TEMPORAL.K2": 2,
        "TEST.RERANK.TEMPORAL.LAMBDA1": 0.5,
        "TEST.RERANK.TEMPORAL.LAMBDA2": 0.2,
        "TEST.ROC.ENABLED": True,
    }
    cfg.merge_from_list([part for item in overrides.items() for part in item])
    assert RankingRules.from_config(cfg) == RankingRules(
        same_camera="keep",
        expansion=Expansion(times=2, k=7, alpha=1.5),
        rerank=(KReciprocal(k1=11, k2=4, weight=0.25),),
        temporal=Temporal(k1=9, k2=2, lambda1=0.5, lambda2=0.2),
        roc=True,
    )


@pytest.mark.parametrize(("part", "kind"), [("AQE", "expansion"), ("RERANK", "rerank"), ("TEMPORAL", "temporal")])
def test_the_defaults_here_are_those_of_the_configuration(part, kind):
    cfg = get_cfg()
    node = cfg.TEST.RERANK.TEMPORAL if part == "TEMPORAL" else cfg.TEST[part]
    node.ENABLED = True
    defaults = {"expansion": Expansion(), "rerank": (KReciprocal(),), "temporal": Temporal()}
    assert getattr(RankingRules.from_config(cfg), kind) == defaults[kind]


def test_rules_survive_json():
    rules = RankingRules("keep", Expansion(2, 3, 0.1), (KReciprocal(5, 2, 0.7), KReciprocal()), Temporal(), True)
    assert RankingRules.from_json(json.loads(json.dumps(rules.as_json()))) == rules
    assert RankingRules.from_json(json.loads(json.dumps(RankingRules().as_json()))) == RankingRules()


def test_a_protocol_that_says_nothing_means_the_defaults():
    assert RankingRules.from_json({"dataset": "HITSZVCM"}) == RankingRules()


@pytest.mark.parametrize(
    "protocol",
    [
        {"rerank": 5},
        {"rerank": [{"k9": 1}]},
        {"rerank": [{"k1": "20"}]},
        {"rerank": [{"weight": "0.3"}]},
        {"expansion": {"k": 2.5}},
        {"temporal": [5, 3]},
        {"same_camera": ["keep"]},
    ],
)
def test_a_protocol_of_another_form_is_an_error(protocol):
    with pytest.raises(ValueError, match=r"protocol|must be"):
        RankingRules.from_json(protocol)


@pytest.mark.parametrize(
    ("key", "value", "enabled"),
    [
        ("TEST.SAME_CAMERA", "drop", None),
        ("TEST.AQE.QE_K", 0, "TEST.AQE"),
        ("TEST.AQE.QE_TIME", -1, "TEST.AQE"),
        ("TEST.AQE.ALPHA", -0.5, "TEST.AQE"),
        ("TEST.RERANK.K1", 0, "TEST.RERANK"),
        ("TEST.RERANK.K2", 0, "TEST.RERANK"),
        ("TEST.RERANK.LAMBDA", 1.5, "TEST.RERANK"),
        ("TEST.RERANK.LAMBDA", float("nan"), "TEST.RERANK"),
        ("TEST.RERANK.TEMPORAL.K1", 0, "TEST.RERANK.TEMPORAL"),
        ("TEST.RERANK.TEMPORAL.LAMBDA1", -0.1, "TEST.RERANK.TEMPORAL"),
        ("TEST.RERANK.TEMPORAL.LAMBDA2", -0.1, "TEST.RERANK.TEMPORAL"),
    ],
)
def test_a_key_out_of_range_is_named(key, value, enabled):
    cfg = get_cfg()
    cfg.merge_from_list([f"{enabled}.ENABLED", True] if enabled else [])
    node, _, name = key.rpartition(".")
    # Set directly, since merging refuses what is no number at all.
    functools.reduce(operator.getitem, node.split("."), cfg)[name] = value
    with pytest.raises(ValueError, match=node) as error:
        RankingRules.from_config(cfg)
    assert name in str(error.value)
    assert str(value) in str(error.value)
