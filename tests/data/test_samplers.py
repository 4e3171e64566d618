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


def config(batch_size, seed=0, instances=1):
    cfg = get_cfg()
    cfg.SOLVER.IMS_PER_BATCH, cfg.SEED, cfg.DATALOADER.NUM_INSTANCE = batch_size, seed, instances
    return cfg


def tracklets_of(pids, modalities):
    return [Tracklet(["x.jpg"], pid, 0, modality, "T") for pid, modality in zip(pids, modalities, strict=True)]


def random_sampler(count, batch_size, seed=0):
    return RandomTrackletSampler(config(batch_size, seed), tracklets_of([0] * count, [Modality.VISIBLE] * count))


class TrainingSet:
    """Identities with the given numbers of (infrared, visible) tracklets, the two modalities mixed."""

    def __init__(self, counts):
        entries = [
            (pid, modality)
            for repeat in range(max(map(max, counts)))
            for pid, of_identity in enumerate(counts)
            for modality in Modality
            if repeat < of_identity[modality]
        ]
        self.pids = [pid for pid, _ in entries]
        self.modalities = [modality for _, modality in entries]
        self.paired = {pid for pid, of_identity in enumerate(counts) if min(of_identity) > 0}

    def members(self, pid, modality):
        return {i for i, entry in enumerate(zip(self.pids, self.modalities, strict=True)) if entry == (pid, modality)}

    def sampler(self, identities, instances, seed=0):
        cfg = config(2 * identities * instances, seed, instances)
        return CrossModalityIdentitySampler(cfg, tracklets_of(self.pids, self.modalities))


def batches(sampler, count, world_size=1):
    """The first batches of a rank, each a list of requests."""
    size = sampler.batch_size // world_size
    requests = list(itertools.islice(sampler, count * size))
    assert len(requests) == count * size
    return [requests[first : first + size] for first in range(0, len(requests), size)]


def positions(batch):
    return [request.position for request in batch]


@pytest.fixture
def in_world(monkeypatch):
    """Makes samplers believe that they belong to one of several processes."""

    def enter(rank, world_size):
        monkeypatch.setattr(comm, "get_rank", lambda: rank)
        monkeypatch.setattr(comm, "get_world_size", lambda: world_size)

    return enter


@st.composite
def settings(draw):
    counts = draw(COUNTS.filter(lambda counts: any(min(pair) > 0 for pair in counts)))
    training_set = TrainingSet(counts)
    identities = draw(st.integers(1, len(training_set.paired)))
    return training_set, identities, draw(st.integers(1, 4)), draw(st.integers(0, 2**32))


@given(settings())
def test_batches_are_two_blocks_with_the_same_identities_in_order(setting):
    training_set, identities, instances, seed = setting
    for batch in batches(training_set.sampler(identities, instances, seed), 4):
        chosen = positions(batch)
        half = len(chosen) // 2
        assert [training_set.modalities[i] for i in chosen] == [Modality.INFRARED] * half + [Modality.VISIBLE] * half
        infrared, visible = ([training_set.pids[i] for i in block] for block in (chosen[:half], chosen[half:]))
        assert infrared == visible
        runs = infrared[::instances]
        assert infrared == [pid for pid in runs for _ in range(instances)]
        assert len(set(runs)) == identities
        assert set(runs) <= training_set.paired


@given(settings())
def test_tracklets_differ_where_there_are_enough_and_all_come_before_any_repeats(setting):
    training_set, identities, instances, seed = setting
    for batch in batches(training_set.sampler(identities, instances, seed), 3):
        chosen = positions(batch)
        for first in range(0, len(chosen), instances):
            group = chosen[first : first + instances]
            members = training_set.members(training_set.pids[group[0]], training_set.modalities[group[0]])
            assert len(set(group)) == min(instances, len(members))
            assert set(group) <= members
            assert set(group[: len(members)]) == set(group)


@given(settings())
def test_a_pass_has_each_identity_at_most_once_and_drops_only_the_remainder(setting):
    training_set, identities, instances, seed = setting
    a_pass = len(training_set.paired) // identities
    in_order = batches(training_set.sampler(identities, instances, seed), 3 * a_pass)
    for first in range(0, len(in_order), a_pass):
        seen = [training_set.pids[i] for batch in in_order[first : first + a_pass] for i in positions(batch)]
        assert set(Counter(seen).values()) == {2 * instances}
        assert len(set(seen)) == a_pass * identities


def test_passes_differ_in_order_tracklets_and_seeds():
    training_set = TrainingSet([(6, 6)] * 6)
    first, second = batches(training_set.sampler(6, 2), 2)
    order, tracklets, seeds = (
        [function(request) for request in first] != [function(request) for request in second]
        for function in (lambda r: training_set.pids[r.position], lambda r: r.position, lambda r: r.seed)
    )
    assert (order, tracklets, seeds) == (True, True, True)
    every_seed = [request.seed for request in first + second]
    assert len(set(every_seed)) == len(every_seed)


def test_identities_that_lack_a_modality_are_left_out_and_counted(caplog):
    training_set = TrainingSet([(2, 2), (3, 0), (2, 1), (0, 2)])
    with caplog.at_level(logging.INFO, logger="xreid_plugin.data.samplers"):
        sampler = training_set.sampler(2, 2)
    assert "Left out 2 identities that lack a modality" in caplog.text
    seen = {training_set.pids[i] for batch in batches(sampler, 10) for i in positions(batch)}
    assert seen == {0, 2}


MIXED = TrainingSet([(3, 2), (1, 4), (2, 2), (5, 5)])


def cross_modality(seed):
    return MIXED.sampler(2, 2, seed)


def random_tracklets(seed):
    return random_sampler(19, 8, seed)


@pytest.mark.parametrize("make", [cross_modality, random_tracklets])
def test_ranks_together_have_the_batches_of_one_process_from_any_start(make, in_world):
    alone = batches(make(0), 6)
    parts = []
    for rank in range(2):
        in_world(rank, 2)
        sampler = make(0)
        sampler.start = 1
        parts.append(batches(sampler, 5, world_size=2))
    for batch, *shares in zip(alone[1:], *parts, strict=True):
        assert len(shares[0]) == len(shares[1]) == len(batch) // 2
        assert sorted(shares[0] + shares[1]) == sorted(batch)
        if sampler.pairs:
            # Each share is as a batch of one process: both blocks of whole identities.
            for share in shares:
                pids, half = [MIXED.pids[request.position] for request in share], len(share) // 2
                assert pids[:half] == pids[half:]
    assert alone != batches(make(1), 6)


@given(st.integers(1, 40), st.data())
def test_random_tracklets_come_once_a_pass(num_tracklets, data):
    batch_size = data.draw(st.integers(1, num_tracklets))
    a_pass = num_tracklets // batch_size
    in_order = batches(random_sampler(num_tracklets, batch_size, 1), 2 * a_pass)
    for part in (in_order[:a_pass], in_order[a_pass:]):
        seen = [i for batch in part for i in positions(batch)]
        assert len(set(seen)) == len(seen) == a_pass * batch_size
        assert set(seen) <= set(range(num_tracklets))


def test_batches_beyond_the_training_set_are_refused():
    training_set = TrainingSet([(1, 1)] * 6 + [(1, 0)] * 9)
    training_set.sampler(6, 2)
    with pytest.raises(ValueError, match=r"SOLVER\.IMS_PER_BATCH to at most 24"):
        training_set.sampler(7, 2)
    with pytest.raises(ValueError, match=r"SOLVER\.IMS_PER_BATCH"):
        random_sampler(19, 20)
