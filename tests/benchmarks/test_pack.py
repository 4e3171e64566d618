import numpy as np
import pytest

from xreid_plugin.benchmarks import pack


def test_cases_name_functions_that_are_there():
    for case in pack.cases(["1"]):
        for function in (case.reference, case.plugin):
            getattr(pack, function)(**case.arguments)()


def test_the_sources_that_are_compared_give_the_same_pixels():
    made = [pack._make(kind, 2) for kind in ("loose", "files", "frames")]
    clips = [data.reader().read(data.tracklets[1], range(pack.LENGTH), pack.SIZE) for data in made]
    assert np.array_equal(clips[0], clips[1])
    assert np.array_equal(clips[0], clips[2])


@pytest.mark.parametrize("size", ["", "0", "many", "-1"])
def test_a_size_is_a_number_of_tracklets(size):
    with pytest.raises(ValueError, match="write a number of tracklets"):
        pack.cases([size])
