"""Both sides of every comparison do the same work."""

import numpy as np
import pytest

from xreid_plugin.benchmarks import ranking, rerank
from xreid_plugin.benchmarks.retrieval import make_retrieval, parse_size

SIZE = {"queries": 30, "gallery": 90}


@pytest.mark.parametrize("given", ["distances", "features"])
def test_ranking_figures_agree(given):
    _, ap, inp = getattr(ranking, f"host_from_{given}")(**SIZE)()
    found = getattr(ranking, f"plugin_from_{given}")(**SIZE)()
    assert found.mAP == pytest.approx(np.mean(ap))
    assert found.mINP == pytest.approx(np.mean(inp))


def test_reranked_distances_agree():
    np.testing.assert_allclose(rerank.plugin(**SIZE)(), rerank.host(**SIZE)(), atol=1e-5)


@pytest.mark.parametrize("module", [ranking, rerank])
def test_cases_name_functions_that_are_there(module):
    cases = module.cases(["3x4", "5x6"])
    assert {case.size for case in cases} == {"3x4", "5x6"}
    for case in cases:
        assert case.module == module.__name__
        for side in (case.reference, case.plugin):
            assert callable(getattr(module, side)(**case.arguments))


def test_retrieval_is_the_same_in_every_run():
    for one, other in zip(make_retrieval(4, 7), make_retrieval(4, 7), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("text", ["12", "3x", "3x4x5", "0x4", "-1x4", "axb"])
def test_unreadable_sizes(text):
    with pytest.raises(ValueError, match="queries x gallery"):
        parse_size(text)
