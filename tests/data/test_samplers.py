import itertools
import logging
from collections import Counter

import pytest
from fastreid.utils import comm
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.config import get_cfg
from xreid_plugin.data.samplers import CrossModalityIdentitySampler, RandomTrackletSampler
from xreid_plugin.data.tracklet import Modality, Tracklet

# Tracklets of each identity: (infrared, visible).
COUNTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9)


def made(kind, tracklets, batch_size, seed=0, instances=1):
    cfg = get_cfg()
    cfg.SOLVER.IMS_PER_BATCH, cfg.SEED, cfg.DATALOADER.NUM_INSTANCE = batch_size, seed, instances
    return kind(cfg, tracklets)


def training_set(counts):
    """Identities with the given numbers of (infrared, visible) tracklets, the two modalities mixed."""
    return [
        Tracklet(["x.jpg"], pid, 0, modality, "T")
        for repeat in range(max(map(max, counts)))
        for pid, of_identity in enumerate(counts)
        for modality in Modality
        if repeat < of_identity[modality]
    ]


def identity_sampler(tracklets, identities, instances, seed=0):
    return made(CrossModalityIdentitySampler, tracklets, 2 * identities * instances, seed, instances)


def batches(sampler, count, world_size=1):
    """The first batches of a rank, each a list of requests."""
    size = sampler.batch_size // world_size
    requests = list(itertools.islice(sampler, count * size))
    return [requests[first : first + size] for first in range(0, len(requests), size)]


@st.composite
def settings(draw):
    counts = draw(COUNTS.filter(lambda counts: any(min(pair) > 0 for pair in counts)))
    paired = sum(min(pair) > 0 for pair in counts)
    sizes = draw(st.integers(1, paired)), draw(st.integers(1, 4)), draw(st.integers(0, 2**32))
    return training_set(counts), paired, sizes


@given(settings())
def test_batches_are_two_blocks_of_the_same_identities_with_as_many_tracklets_as_there_are(setting):
    tracklets, paired, (identities, instances, seed) = setting
    members = Counter((tracklet.pid, tracklet.modality) for tracklet in tracklets)
    a_pass = paired // identities
    in_order = batches(identity_sampler(tracklets, identities, instances, seed), 2 * a_pass)
    for batch in in_order:
        shown = [tracklets[request.position] for request in batch]
        half = len(shown) // 2
        assert [tracklet.modality for tracklet in shown] == [Modality.INFRARED] * half + [Modality.VISIBLE] * half
        infrared, visible = ([tracklet.pid for tracklet in block] for block in (shown[:half], shown[half:]))
        assert infrared == visible == [pid for pid in infrared[::instances] for _ in range(instances)]
        assert len(set(infrared)) == identities
        for first in range(0, len(shown), instances):
            group = [request.position for request in batch[first : first + instances]]
            available = members[shown[first].pid, shown[first].modality]
            # All come before any repeats.
            assert len(set(group)) == min(instances, available)
            assert set(group[:available]) == set(group)
    for first in range(0, len(in_order), a_pass):
        seen = [tracklets[request.position].pid for batch in in_order[first : first + a_pass] for request in batch]
        assert Counter(seen) == dict.fromkeys(seen, 2 * instances)


def test_identities_that_lack_a_modality_are_left_out_and_counted(caplog):
    tracklets = training_set([(2, 2), (3, 0), (2, 1), (0, 2)])
    with caplog.at_level(logging.INFO, logger="xreid_plugin.data.samplers"):
        sampler = identity_sampler(tracklets, 2, 2)
    assert "2 identities" in caplog.text
    assert {tracklets[request.position].pid for batch in batches(sampler, 10) for request in batch} == {0, 2}


MIXED = training_set([(3, 2), (1, 4), (2, 2), (5, 5)])


@pytest.mark.parametrize("kind", [CrossModalityIdentitySampler, RandomTrackletSampler])
def test_ranks_together_have_the_batches_of_one_process_from_any_start(kind, monkeypatch):
    alone = batches(made(kind, MIXED, 8, 4, 2), 6)
    assert batches(made(kind, MIXED, 8, 5, 2), 6) != alone == batches(made(kind, MIXED, 8, 4, 2), 6)
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    for start in (0, 1, 5):
        parts = []
        for rank in range(2):
            monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
            sampler = made(kind, MIXED, 8, 4, 2)
            sampler.start = start
            parts.append(batches(sampler, 6 - start, world_size=2))
        for batch, *shares in zip(alone[start:], *parts, strict=True):
            assert sorted(shares[0] + shares[1]) == sorted(batch)
            for share in shares:
                pids, half = [MIXED[request.position].pid for request in share], len(share) // 2
                # Both blocks of whole identities.
                assert pids[:half] == pids[half:] or not kind.pairs


@given(st.integers(1, 40), st.data())
def test_random_tracklets_come_once_a_pass(count, data):
    batch_size = data.draw(st.integers(1, count))
    a_pass = count // batch_size
    sampler = made(RandomTrackletSampler, training_set([(0, count)]), batch_size)
    in_order = batches(sampler, 2 * a_pass)
    for part in (in_order[:a_pass], in_order[a_pass:]):
        seen = [request.position for batch in part for request in batch]
        assert len(set(seen)) == len(seen) == a_pass * batch_size


def test_batches_beyond_the_training_set_are_refused():
    with pytest.raises(ValueError, match=r"SOLVER\.IMS_PER_BATCH to at most 24"):
        identity_sampler(training_set([(1, 1)] * 6 + [(1, 0)] * 9), 7, 2)
    with pytest.raises(ValueError, match=r"SOLVER\.IMS_PER_BATCH"):
        made(RandomTrackletSampler, training_set([(0, 19)]), 20)
