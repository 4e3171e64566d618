"""Both sides of every comparison do the same work."""

import inspect
import re

import numpy as np
import pytest
import torch

from xreid_plugin.benchmarks import inference, ranking, refresh, rerank, startup, step
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


@pytest.mark.parametrize("work", ["update", "means"])
def test_prototypes_agree(work):
    rows = 40
    torch.testing.assert_close(getattr(refresh, work)(rows)(), getattr(refresh, f"{work}_by_loop")(rows)())


@pytest.mark.parametrize(
    ("module", "sizes"),
    [
        (step, ["4x2", "16x10"]),
        (refresh, ["update:16", "means:40", "embed:4x2"]),
        (inference, ["3x4"]),
        (startup, ["import xreid_plugin"]),
    ],
)
def test_every_case_is_one_that_can_be_run(module, sizes):
    cases = module.cases(sizes)
    assert {case.size for case in cases} == {size.split(":")[-1] for size in sizes}
    for case in cases:
        # What is given is what the functions take; start-up has no reference.
        for side in filter(None, (case.reference, case.plugin)):
            assert callable(getattr(module, side))
            inspect.signature(getattr(module, side)).bind(**case.arguments)


@pytest.mark.parametrize(
    ("module", "size"),
    [(step, "3x2"), (step, "4"), (refresh, "update"), (refresh, "means:x"), (inference, "4x0"), (startup, "rm -rf")],
)
def test_sizes_that_cannot_be_read(module, size):
    with pytest.raises(ValueError, match=re.escape(size)):
        module.cases([size])


def test_dense_clips_hold_every_frame_once():
    lengths = inference.tracklet_lengths(5)
    clips = inference._clips(lengths, 4)
    assert clips["lengths"].sum() == sum(lengths)
    assert len(clips["images"]) == sum(-(-length // 4) for length in lengths)
