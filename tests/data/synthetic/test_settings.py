import pytest

from xreid_plugin.data.synthetic.settings import Stream, SyntheticError, SyntheticSettings


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"train_identities": 0}, "train_identities"),
        ({"test_identities": 0}, "test_identities"),
        ({"cameras": 1}, "cameras"),
        ({"tracklets": 0}, "tracklets"),
        ({"frames": (11, 20)}, "fewest"),
        ({"frames": (20, 19)}, "most"),
        ({"size": (47, 48)}, "height"),
        ({"size": (96, 23)}, "width"),
        ({"seed": -1}, "seed"),
        ({"quality": 0}, "quality"),
        ({"quality": 101}, "quality"),
        ({"short_share": 1.5}, "short_share"),
    ],
)
def test_values_out_of_range_are_named(changed, named):
    with pytest.raises(SyntheticError, match=named):
        SyntheticSettings(**changed)


def test_generators_depend_on_seed_stream_and_key_and_on_nothing_else():
    def draw(seed, stream, *key):
        return SyntheticSettings(seed=seed).rng(stream, *key).integers(2**62)

    assert draw(0, Stream.WALK, 1, 2) == draw(0, Stream.WALK, 1, 2)
    draws = [
        draw(0, Stream.WALK, 1, 2),
        draw(1, Stream.WALK, 1, 2),
        draw(0, Stream.PLAN, 1, 2),
        draw(0, Stream.WALK, 2, 1),
    ]
    assert len(set(draws)) == 4
