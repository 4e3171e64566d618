import subprocess
import sys

import numpy as np
import pytest
import torch
from fastreid.evaluation import ReidEvaluator
from fastreid.utils import comm
from fastreid.utils.compute_dist import build_dist

from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.evaluation.rerank import jaccard_distance


@pytest.fixture
def sets():
    """Features, identities and cameras of queries and then gallery; identities overlap a little."""
    generator = torch.Generator().manual_seed(0)
    pids = torch.arange(45) % 9
    centres = torch.randn(9, 6, generator=generator)
    features = centres[pids] + torch.randn(45, 6, generator=generator)
    return features, pids, (torch.arange(45) >= 9) * (1 + torch.arange(45) % 2)


def test_the_hosts_evaluator_reranks_on_the_cpu_and_neither_compiles_nor_exits(sets, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"ran {args}")

    monkeypatch.setitem(sys.modules, "fastreid.evaluation.rank_cylib.rank_cy", None)
    monkeypatch.setattr(subprocess, "run", refuse)
    features, pids, camids = sets
    cfg = get_cfg()
    cfg.merge_from_list(["TEST.RERANK.ENABLED", True, "TEST.RERANK.K1", 6, "TEST.RERANK.K2", 3])
    cfg.merge_from_list(["TEST.RERANK.LAMBDA", 0.3])
    evaluator = ReidEvaluator(cfg, num_query=9)
    evaluator.process({"targets": pids, "camids": camids}, features)
    rank1 = evaluator.evaluate()["Rank-1"]

    unit = features / features.norm(dim=1, keepdim=True)
    jaccard = build_dist(unit[:9], unit[9:], "jaccard", k1=6, k2=3)
    np.testing.assert_allclose(jaccard, jaccard_distance(unit, 9, 6, 3), atol=1e-6)
    cosine = (1 - unit[:9] @ unit[9:].t()).numpy()
    first = (jaccard * 0.7 + cosine * 0.3).argmin(1)
    assert rank1 == pytest.approx(100 * (pids[9:].numpy()[first] == pids[:9].numpy()).mean())


def gathered(rank, folder):
    # Messages of different lengths, so that the host has to pad and to cut again.
    return comm.all_gather({"rank": rank, "text": "x" * (1 + 300 * rank)}), comm.gather([rank], dst=1)


@pytest.mark.slow
def test_objects_travel_between_processes(tmp_path):
    everything = [{"rank": 0, "text": "x"}, {"rank": 1, "text": "x" * 301}]
    assert run_on_two_ranks(gathered, tmp_path) == [(everything, []), (everything, [[0], [1]])]
