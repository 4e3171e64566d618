from dataclasses import astuple

import pytest

from xreid_plugin.data.synthetic.person import OUTFITS, draw_person, require_outfits
from xreid_plugin.data.synthetic.settings import SyntheticError, SyntheticSettings


def test_there_are_as_many_outfits_as_combinations():
    assert OUTFITS == 15 * 5 * 4 * 6 * 4 * 2 * 2 * 2


def test_no_two_identities_dress_alike():
    settings = SyntheticSettings()
    assert len({draw_person(settings, pid).outfit for pid in range(1, 1001)}) == 1000


def test_an_identity_does_not_depend_on_the_size_of_its_set():
    one, other = (draw_person(SyntheticSettings(train_identities=n), 5) for n in (10, 20))
    assert (one.outfit, astuple(one.body), astuple(one.gait)) == (
        other.outfit,
        astuple(other.body),
        astuple(other.gait),
    )


def test_sets_with_more_identities_than_outfits_are_refused():
    require_outfits(OUTFITS)
    with pytest.raises(SyntheticError, match="at most"):
        require_outfits(OUTFITS + 1)
