import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.synthetic.palette import MIN_CONTRAST, Material, draw_palette, luma_of, with_luma

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
def test_both_phases_of_a_garment_contrast_to_both_sensors(seed):
    palette = draw_palette(np.random.default_rng(seed))
    for one, other in ((Material.TOP_A, Material.TOP_B), (Material.BOTTOM_A, Material.BOTTOM_B)):
        assert abs(int(palette.infrared[one]) - int(palette.infrared[other])) >= MIN_CONTRAST
        # Rounding a colour to whole levels moves its luma by half a level at most.
        assert abs(luma_of(palette.visible[one]) - luma_of(palette.visible[other])) >= MIN_CONTRAST - 1


@given(st.tuples(*[st.integers(1, 255)] * 3), st.integers(0, 255))
def test_with_luma_gives_the_luma_asked_for(bgr, luma):
    assert abs(luma_of(with_luma(np.array(bgr, np.uint8), luma)) - luma) <= 0.5


def test_infrared_levels_tell_nothing_of_colours():
    palettes = [draw_palette(np.random.default_rng(seed)) for seed in range(400)]
    for material in (Material.TOP_A, Material.BOTTOM_A, Material.BAG):
        lumas = [luma_of(palette.visible[material]) for palette in palettes]
        levels = [float(palette.infrared[material]) for palette in palettes]
        # Four standard errors of the correlation of 400 independent pairs.
        assert abs(np.corrcoef(lumas, levels)[0, 1]) < 4 / 400**0.5
