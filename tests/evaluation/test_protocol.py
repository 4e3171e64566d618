from xreid_plugin.config import get_cfg
from xreid_plugin.evaluation.protocol import Expansion, KReciprocal, RankingProtocol, Temporal


def test_every_part_is_read_from_its_keys():
    cfg = get_cfg()
    assert RankingProtocol.from_config(cfg) == RankingProtocol()
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
    }
    cfg.merge_from_list([part for item in overrides.items() for part in item])
    assert RankingProtocol.from_config(cfg) == RankingProtocol(
        same_camera="keep",
        expansion=Expansion(times=2, k=7, alpha=1.5),
        rerank=(KReciprocal(k1=11, k2=4, weight=0.25),),
        temporal=Temporal(k1=9, k2=2, lambda1=0.5, lambda2=0.2),
    )
