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
        batch_size: clips in a batch, over all ranks.
        start: global batches to pass over before the first; a resumed run sets it to the iterations already done.
    """

    pairs: ClassVar[bool] = False

    def __init__(self, cfg: Any) -> None:
        """Reads SOLVER.IMS_PER_BATCH, which the ranks must be able to share evenly, and SEED."""
        self.batch_size: int = cfg.SOLVER.IMS_PER_BATCH
        self.start = 0
        self._seed: int = cfg.SEED
        self._rank, self._world_size = comm.get_rank(), comm.get_world_size()

    def __iter__(self) -> Iterator[ClipRequest]:
        batches = itertools.chain.from_iterable(map(self.batches_of_pass, itertools.count()))
        for batch in itertools.islice(batches, self.start, None):
            # One of W consecutive parts of a batch; with pairs, of each of its two blocks.
            parts = np.reshape(np.arange(len(batch)), (2 if self.pairs else 1, self._world_size, -1))
            yield from (batch[place] for place in parts[:, self._rank].ravel())

    def batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        """The global batches of a pass, the same on every rank; for subclasses to define."""
        raise NotImplementedError

    def rng(self, number: int) -> np.random.Generator:
        """The source of all draws of a pass."""
        return np.random.default_rng([self._seed, number])

    @staticmethod
    def requests(positions: Sequence[int], rng: np.random.Generator) -> list[ClipRequest]:
        """Clips of the tracklets at these positions of the training set, each with a seed of its own."""
        seeds = rng.integers(2**62, size=len(positions))
        return [ClipRequest(position, int(seed)) for position, seed in zip(positions, seeds, strict=True)]


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

    def __init__(self, cfg: Any, tracklets: Sequence[Tracklet]) -> None:
        """Reads SOLVER.IMS_PER_BATCH, 2·P·K over all ranks, DATALOADER.NUM_INSTANCE, K, and SEED; and the training set.

        Raises:
            ValueError: too few identities.
        """
        super().__init__(cfg)
        self._num_instances: int = cfg.DATALOADER.NUM_INSTANCE
        self._num_identities = self.batch_size // (2 * self._num_instances)
        members: dict[int, dict[Modality, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, tracklet in enumerate(tracklets):
            members[tracklet.pid][tracklet.modality].append(index)
        self._members = [of_both for _, of_both in sorted(members.items()) if len(of_both) == len(Modality)]
        if len(self._members) < len(members):
            logger.info(f"Left out {len(members) - len(self._members)} identities that lack a modality.")
        if len(self._members) < self._num_identities:
            most = 2 * self._num_instances * len(self._members)
            raise ValueError(
                f"A batch needs {self._num_identities} identities with both modalities, but the training set has "
                f"{len(self._members)}. Lower SOLVER.IMS_PER_BATCH to at most {most}."
            )

    def batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        """See the base class."""
        rng = self.rng(number)
        order = rng.permutation(len(self._members))
        for first in range(0, len(order) - self._num_identities + 1, self._num_identities):
            chosen = [self._members[i] for i in order[first : first + self._num_identities]]
            drawn = [index for m in Modality for member in chosen for index in self._draw(member[m], rng)]
            yield self.requests(drawn, rng)

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

    def __init__(self, cfg: Any, tracklets: Sequence[Tracklet]) -> None:
        """Reads SOLVER.IMS_PER_BATCH and SEED; ValueError where a batch is larger than the training set."""
        super().__init__(cfg)
        self._num_tracklets = len(tracklets)
        if self._num_tracklets < self.batch_size:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {self.batch_size}, but the training set has only {len(tracklets)} tracklets."
            )

    def batches_of_pass(self, number: int) -> Iterator[list[ClipRequest]]:
        """See the base class."""
        rng = self.rng(number)
        order = rng.permutation(self._num_tracklets).tolist()
        for first in range(0, len(order) - self.batch_size + 1, self.batch_size):
            yield self.requests(order[first : first + self.batch_size], rng)
