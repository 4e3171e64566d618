import math

import pytest

from tests.comparison.finished import PROTOCOL, finished, planned
from xreid_plugin.comparison.cost import cost_of_run
from xreid_plugin.comparison.results import Statistic, protocol_differences, rows_of


@pytest.mark.parametrize(
    ("values", "mean", "deviation", "text"),
    [
        ([4.0], 4, None, "4.00"),
        ([2.0, 4.0], 3, math.sqrt(2), "3.00 ± 1.41"),
        # (1 + 1 + 0 + 4) / (4 - 1) = 2
        ([9.0, 9.0, 10.0, 12.0], 10, math.sqrt(2), "10.00 ± 1.41"),
    ],
)
def test_statistic_is_the_mean_and_the_deviation_of_the_sample(values, mean, deviation, text):
    statistic = Statistic.of(values)
    assert statistic.mean == mean
    assert statistic.deviation == (deviation if deviation is None else pytest.approx(deviation))
    assert str(statistic) == text


def test_a_row_gathers_the_seeds_of_a_configuration(tmp_path):
    runs = [
        finished(tmp_path, "a", 0, rank1=10.0, mean_precision=20.0),
        finished(tmp_path, "a", 1, rank1=14.0, mean_precision=24.0),
        planned(tmp_path, "a", 2),
        planned(tmp_path, "b", 0),
    ]
    first, second = rows_of(runs, {"a": cost_of_run(runs[0].folder)})
    assert [run.seed for run in first.done] == [0, 1]
    assert [run.seed for run in first.missing] == [2]
    assert first.directions == ["I2V", "V2I"]
    assert first.figures["I2V/mAP"] == Statistic(22.0, pytest.approx(math.sqrt(8)))
    assert first.figures["V2I/Rank-1"].mean == 13.0
    # At rank 3: (10 + 2 + 14 + 2) / 2.
    assert first.curves["I2V"][2].mean == 14.0
    # A minute and two; a GiB and two.
    assert (first.usage.seconds, first.usage.peak_bytes) == (90.0, 2 * 2**30)
    assert first.cost.parameters == 1_500_000
    assert (second.done, second.figures, second.usage, second.cost, second.directions) == ((), {}, None, None, [])


def test_protocols_that_differ_are_told_by_what_differs(tmp_path):
    runs = [
        finished(tmp_path, "a", rank1=1.0, mean_precision=1.0),
        finished(tmp_path, "b", rank1=1.0, mean_precision=1.0, protocol={**PROTOCOL, "same_camera": "keep"}),
        planned(tmp_path, "c"),
    ]
    assert protocol_differences(rows_of(runs, {})) == ['same_camera: a "exclude"; b "keep"']
    assert protocol_differences(rows_of([runs[0], runs[2]], {})) == []
