import pytest

from xreid_plugin.benchmarks import gallery


def test_cases_build_and_then_search_the_same_gallery():
    cases = gallery.cases(["300:exact", "1200:ivf"])
    assert [(case.plugin, case.size) for case in cases] == [
        *(("build", "300 tracklets"), ("search", "300 tracklets")),
        *(("build", "1200 tracklets"), ("search", "1200 tracklets")),
    ]
    for case in cases:
        work = getattr(gallery, case.plugin)(**case.arguments)
        work()
    getattr(gallery, cases[1].reference)(**cases[1].arguments)()
    assert 0.5 < work.recall <= 1
    exact = gallery.search_exactly(**cases[-1].arguments)
    assert exact.recall == 1


@pytest.mark.parametrize("text", ["many", "0", "-3", "100:flat", "1e6"])
def test_unreadable_sizes(text):
    with pytest.raises(ValueError, match="write tracklets"):
        gallery.parse_size(text)
