"""What people, their clothes and their walks keep to, whatever the seed."""

from dataclasses import astuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from projects.SyntheticPeople import SyntheticSettings
from projects.SyntheticPeople.person import MIN_CONTRAST, Material, draw_palette, draw_person

LUMA = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601, of blue, green, red.


@given(st.integers(0, 2**32 - 1))
def test_both_looks_of_a_garment_contrast_to_both_sensors(seed):
    palette = draw_palette(np.random.default_rng(seed))
    lumas = palette.visible @ LUMA
    for one, other in ((Material.TOP_A, Material.TOP_B), (Material.BOTTOM_A, Material.BOTTOM_B)):
        assert abs(int(palette.infrared[one]) - int(palette.infrared[other])) >= MIN_CONTRAST
        # Rounding a colour to whole levels moves its luma by half a level at most.
        assert abs(lumas[one] - lumas[other]) >= MIN_CONTRAST - 1


def test_no_two_identities_dress_alike_and_none_depends_on_the_size_of_its_set():
    assert len({draw_person(SyntheticSettings(), pid).outfit for pid in range(1, 101)}) == 100
    one, other = (draw_person(SyntheticSettings(train_identities=n), 5) for n in (10, 20))
    assert (one.outfit, one.gait, astuple(one.body)) == (other.outfit, other.gait, astuple(other.body))
