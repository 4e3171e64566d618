"""Which clips make a training batch: infinite, seeded, and sharded over ranks.

A sampler yields one rank's :class:`ClipRequest` after another; every ``batch_size // world_size`` of them are a batch
of that rank. All draws of a pass over the identities come from (seed, number of the pass), the same on every rank.
"""

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from fastreid.config import configurable
from fastreid.utils import comm
from torch.utils.data import Sampler

from xreid_plugin.data.clips import ClipRequest
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.registry import SAMPLER_REGISTRY

logger = logging.getLogger(__name__)


class ShardedSampler(Sampler[ClipRequest]):
    """What both samplers share: an endless sequence of global batches, of which a rank takes its part.

    Attributes:
        pairs: whether every clip has a partner of its identity at the same place of the other modality's block.
        start: global batches to pass over before the first; a resumed run sets it to the iterations already done.
    """

    pairs: ClassVar[bool] = False

    def __init__(self, batch_size: int, seed: int, unit: int = 1, unit_name: str = "1 clip") -> None:
        """
        Args:
            batch_size: clips in a batch, over all ranks.
            seed: the seed of all draws.
            unit: clips that must not be separated; a rank's share is a multiple of it.
            unit_name: what makes up the unit, for messages.

        Raises:
            ValueError: a batch that the ranks cannot share evenly in units.
        """
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()
        step = unit * self._world_size
        if batch_size < 1 or batch_size % step:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}; it must be a multiple of {step} ({unit_name} × "
                f"{self._world_size} processes)."
            )
        self.batch_size = batch_size
        self.start = 0
        self._seed = seed

    def __iter__(self) -> Iterator[ClipRequest]:
        batches = itertools.chain.from_iterable(self._batches_of_pass(n) for n in itertools.count())
        for batch in itertools.islice(batches, self.start, None):
            yield from self._shard(batch)

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])

    def _batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        raise NotImplementedError

    def _shard(self, batch: list[ClipRequest]) -> list[ClipRequest]:
        """One of W consecutive parts of a batch; with ``pairs``, of each of its two blocks."""
        parts = np.reshape(np.arange(len(batch)), (2 if self.pairs else 1, self._world_size, -1))
        return [batch[place] for place in parts[:, self._rank].ravel()]


@SAMPLER_REGISTRY.register()
class CrossModalityIdentitySampler(ShardedSampler):
    """P identities × K clips of each modality: the infrared block first, then the visible, identities in one order.

    A pass visits each identity once; the order, and the tracklets, are redrawn for each pass. Corner cases:

    - an identity with fewer than K tracklets in a modality contributes all of them, then some again at random;
    - an identity that lacks a modality has no pairs and is left out; the number of these is logged;
    - identities left over at the end of a pass, fewer than P, are dropped from that pass alone;
    - fewer than P identities with both modalities are an error.

    With W ranks, each has P / W whole identities with both blocks, so that partners are never apart; the union of the
    ranks' batches is the batch that one process would have.
    """

    pairs = True

    @configurable
    def __init__(
        self,
        *,
        pids: Sequence[int],
        modalities: Sequence[Modality],
        batch_size: int,
        num_instances: int,
        seed: int,
    ) -> None:
        """
        Args:
            pids: identity of every training tracklet.
            modalities: modality of every training tracklet.
            batch_size: 2·P·K, over all ranks.
            num_instances: K.
            seed: the seed of all draws.

        Raises:
            ValueError: sizes that do not divide, or too few identities.
        """
        if num_instances < 1:
            raise ValueError(f"DATALOADER.NUM_INSTANCE is {num_instances}; it must be at least 1.")
        pairs = 2 * num_instances
        super().__init__(batch_size, seed, pairs, f"2 modalities × DATALOADER.NUM_INSTANCE ({num_instances})")
        self._num_instances = num_instances
        self._num_identities = batch_size // pairs
        members: dict[int, dict[Modality, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, (pid, modality) in enumerate(zip(pids, modalities, strict=True)):
            members[pid][modality].append(index)
        self._members = [of_both for _, of_both in sorted(members.items()) if len(of_both) == len(Modality)]
        if len(self._members) < len(members):
            logger.info(f"Left out {len(members) - len(self._members)} identities that lack a modality.")
        if len(self._members) < self._num_identities:
            raise ValueError(
                f"A batch needs {self._num_identities} identities with both modalities, but the training set has "
                f"{len(self._members)}. Lower SOLVER.IMS_PER_BATCH to at most {pairs * len(self._members)}."
            )

    @classmethod
    def from_config(cls, cfg: Any, tracklets: Sequence[Tracklet]) -> dict[str, Any]:
        """Constructor arguments from the host's keys."""
        return {
            "pids": [tracklet.pid for tracklet in tracklets],
            "modalities": [tracklet.modality for tracklet in tracklets],
            "batch_size": cfg.SOLVER.IMS_PER_BATCH,
            "num_instances": cfg.DATALOADER.NUM_INSTANCE,
            "seed": cfg.SEED,
        }

    def _batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        rng = self._rng(number)
        order = rng.permutation(len(self._members))
        for first in range(0, len(order) - self._num_identities + 1, self._num_identities):
            chosen = [self._members[i] for i in order[first : first + self._num_identities]]
            yield _requests([index for m in Modality for member in chosen for index in self._draw(member[m], rng)], rng)

    def _draw(self, candidates: list[int], rng: np.random.Generator) -> list[int]:
        k = self._num_instances
        drawn = rng.permutation(candidates)[:k].tolist()
        return drawn + rng.choice(candidates, size=k - len(drawn)).tolist()


@SAMPLER_REGISTRY.register()
class RandomTrackletSampler(ShardedSampler):
    """Every tracklet once per pass, in a new random order; needs no pairs, so CII and CMCL cannot be trained with it.

    Tracklets left over at the end of a pass, fewer than a batch, are dropped from that pass alone; fewer tracklets than
    a batch in all are an error. With W ranks, each has one of W consecutive parts of the global batch.
    """

    @configurable
    def __init__(self, *, num_tracklets: int, batch_size: int, seed: int) -> None:
        """
        Args:
            num_tracklets: size of the training set.
            batch_size: clips in a batch, over all ranks.
            seed: the seed of all draws.

        Raises:
            ValueError: a batch that the ranks cannot share, or that is larger than the training set.
        """
        super().__init__(batch_size, seed)
        if num_tracklets < batch_size:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}, but the training set has only {num_tracklets} tracklets."
            )
        self._num_tracklets = num_tracklets

    @classmethod
    def from_config(cls, cfg: Any, tracklets: Sequence[Tracklet]) -> dict[str, Any]:
        """Constructor arguments from the host's keys."""
        return {"num_tracklets": len(tracklets), "batch_size": cfg.SOLVER.IMS_PER_BATCH, "seed": cfg.SEED}

    def _batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        rng = self._rng(number)
        order = rng.permutation(self._num_tracklets).tolist()
        for first in range(0, len(order) - self.batch_size + 1, self.batch_size):
            yield _requests(order[first : first + self.batch_size], rng)


def _requests(indices: Sequence[int], rng: np.random.Generator) -> list[ClipRequest]:
    seeds = rng.integers(2**62, size=len(indices))
    return [ClipRequest(index, int(seed)) for index, seed in zip(indices, seeds, strict=True)]
