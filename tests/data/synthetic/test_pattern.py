import pytest

from xreid_plugin.data.synthetic.pattern import COLUMNS, ROWS, Pattern, second_phase


@pytest.mark.parametrize("pattern", list(Pattern))
def test_every_pattern_but_the_plain_one_shows_a_good_share_of_both_phases(pattern):
    share = second_phase(pattern).mean()
    assert share == 0 if pattern is Pattern.PLAIN else 0.15 < share < 0.85


def test_no_two_patterns_look_alike():
    drawn = {pattern: second_phase(pattern) for pattern in Pattern}
    for one, a in drawn.items():
        for other, b in drawn.items():
            assert one is other or 0.04 < (a != b).mean() < 0.96


@pytest.mark.parametrize(("pattern", "edges"), [(Pattern.WIDE_HOOPS, 3), (Pattern.HOOPS, 6), (Pattern.FINE_HOOPS, 11)])
def test_hoops_change_phase_twice_a_cycle_down_the_garment_and_never_across(pattern, edges):
    phase = second_phase(pattern)
    assert phase.shape == (ROWS, COLUMNS)
    assert (phase == phase[:, :1]).all()
    assert (phase[1:, 0] != phase[:-1, 0]).sum() == edges
