from xreid_plugin.config import get_cfg
from xreid_plugin.evaluation.protocol import Expansion, KReciprocal, RankingProtocol, Temporal


def test_every_part_is_read_from_its_keys():
    cfg = get_cfg()
    assert RankingProtocol.from_config(cfg) == RankingProtocol()
    test, temporal = cfg.TEST, cfg.TEST.RERANK.TEMPORAL
    test.SAME_CAMERA, test.AQE.ENABLED, test.RERANK.ENABLED, temporal.ENABLED = "keep", True, True, True
    test.AQE.QE_TIME, test.AQE.QE_K, test.AQE.ALPHA = 2, 7, 1.5
    test.RERANK.K1, test.RERANK.K2, test.RERANK.LAMBDA = 11, 4, 0.25
    temporal.K1, temporal.K2, temporal.LAMBDA1, temporal.LAMBDA2 = 9, 2, 0.5, 0.2
    assert RankingProtocol.from_config(cfg) == RankingProtocol(
        same_camera="keep",
        expansion=Expansion(times=2, k=7, alpha=1.5),
        rerank=(KReciprocal(k1=11, k2=4, weight=0.25),),
        temporal=Temporal(k1=9, k2=2, lambda1=0.5, lambda2=0.2),
    )
