"""Leaving out repeated frames, against working on all of them."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.modeling.xreid import DistinctFrames


@given(st.integers(1, 6).flatmap(lambda t: st.tuples(st.just(t), st.lists(st.integers(1, t), min_size=1, max_size=5))))
def test_spread_undoes_pick(case):
    frames, lengths = case
    rows = torch.stack(
        [10 * clip + torch.arange(frames).clamp(max=length - 1) for clip, length in enumerate(lengths)]
    ).flatten()
    distinct = DistinctFrames(torch.tensor(lengths), frames)
    picked = distinct.pick(rows)
    assert len(picked) == sum(lengths)
    assert len(picked.unique()) == len(picked)
    torch.testing.assert_close(distinct.spread(picked), rows)
    assert distinct.all_differ == (sum(lengths) == len(rows))
