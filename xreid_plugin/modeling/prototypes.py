"""CPC's memory: one prototype per identity and modality (paper: CPC; method: CPC).

Shapes: N identities, B clips, F channels of the feature z. Identities are labels 0..N-1.
"""

from typing import NamedTuple

import torch
from fastreid.utils import comm
from torch import nn
from torch.nn import functional as F

from xreid_plugin.data.tracklet import Modality


class PrototypeSimilarity(NamedTuple):
    """How like their identity's prototypes a batch's clips are, before the update: mean cosines, scalar tensors.

    Attributes:
        own: similarity to the prototype of the clip's own modality.
        cross: similarity to the prototype of the other modality.
    """

    own: torch.Tensor
    cross: torch.Tensor


class PrototypeMemory(nn.Module):
    """Two memories of identity prototypes, M_r of the infrared and M_v of the visible modality.

    They are buffers: a checkpoint holds them. No gradient reaches them; they change by :meth:`refresh` and
    :meth:`update` alone. Both use the data of all processes, in one order, so that every rank holds the same memory.

    Attributes:
        infrared: (N, F) float32, unit rows; zero until the first refresh.
        visible: (N, F) float32, the same of the other modality; row i of both is of identity i.
    """

    infrared: torch.Tensor
    visible: torch.Tensor

    def __init__(self, num_classes: int, dim: int, momentum: float, update: str) -> None:
        """
        Args:
            num_classes: N.
            dim: F.
            momentum: μ, the share of the old prototype that an update keeps, 0 to 1.
            update: which clips update a memory: "swap", of the other modality; "intra", of its own; "joint", of both.
        """
        super().__init__()
        self.momentum = momentum
        self.rule = update
        self.register_buffer("infrared", torch.zeros(num_classes, dim))
        self.register_buffer("visible", torch.zeros(num_classes, dim))
        self._seen: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def of(self, modality: Modality) -> torch.Tensor:
        """The memory of a modality, (N, F)."""
        return self.infrared if modality is Modality.INFRARED else self.visible

    @torch.no_grad()
    def refresh(self, features: torch.Tensor, targets: torch.Tensor, modalities: torch.Tensor) -> None:
        """Recomputes the prototypes: the normalised mean of each identity's features in each modality (method: CPC 1).

        An identity without a tracklet in one modality is represented there by its prototype of the other. [D]

        Args:
            features: (n, F), z of every training tracklet, over all processes.
            targets: (n,) int64.
            modalities: (n,) int64, values of Modality.
        """
        # CUDA adds rows in an order that differs from run to run, hence from rank to rank; the CPU has one order.
        features, targets, modalities = features.float().cpu(), targets.cpu(), modalities.cpu()
        sums, present = {}, {}
        for modality in Modality:
            chosen = modalities == modality
            sums[modality] = torch.zeros(self.of(modality).shape).index_add_(0, targets[chosen], features[chosen])
            present[modality] = torch.zeros(len(self.infrared), dtype=torch.bool).index_fill_(0, targets[chosen], True)
        for modality in Modality:
            other = sums[Modality(1 - modality)]
            prototypes = F.normalize(sums[modality].where(present[modality][:, None], other))
            self.of(modality).copy_(prototypes)

    def observe(self, features: torch.Tensor, targets: torch.Tensor, modalities: torch.Tensor) -> None:
        """Keeps a batch for the update that follows its backward pass.

        Args:
            features: (B, F), u or z, of the clips of all ranks; they are normalised here.
            targets: (B,) int64.
            modalities: (B,) int64.
        """
        self._seen = (F.normalize(features.detach()), targets, modalities)

    @torch.no_grad()
    def update(self) -> PrototypeSimilarity | None:
        """Blends in, per identity and memory, the observed clip that is least like the prototype (equations 1 and 2).

        m ← μ·m + (1 − μ)·u*, then normalised; of two equally unlike clips the first counts. Identities that no clip may
        update stay as they are.

        Returns:
            The similarities found, or None, with nothing done, if nothing was observed since the last update.
        """
        if self._seen is None:
            return None
        features, targets, modalities = self._seen
        self._seen = None
        infrared = (features * self.infrared[targets]).sum(1)
        visible = (features * self.visible[targets]).sum(1)
        is_infrared = modalities == Modality.INFRARED
        similarity = PrototypeSimilarity(
            own=infrared.where(is_infrared, visible).mean(), cross=visible.where(is_infrared, infrared).mean()
        )
        rows = torch.stack(
            [
                self._blended(self.of(memory)[targets], features, targets, self._may_update(memory, modalities))
                for memory in Modality
            ]
        )
        if comm.get_world_size() > 1:
            # Another machine or device may add in another order, and so round otherwise.
            torch.distributed.broadcast(rows, src=0)
        for memory, blended in zip(Modality, rows, strict=True):
            self.of(memory)[targets] = blended
        return similarity

    def _may_update(self, memory: Modality, modalities: torch.Tensor) -> torch.Tensor:
        if self.rule == "joint":
            return torch.ones_like(modalities, dtype=torch.bool)
        return (modalities == memory) == (self.rule == "intra")

    def _blended(
        self, prototypes: torch.Tensor, features: torch.Tensor, targets: torch.Tensor, allowed: torch.Tensor
    ) -> torch.Tensor:
        """The clips' prototypes (B, F) after the update, equal within an identity, without a loop or device sync."""
        similarity = (features * prototypes).sum(1)
        rivals = allowed & (targets[:, None] == targets)
        lowest = similarity.where(rivals, torch.inf).amin(1, keepdim=True)
        rows, none = torch.arange(len(targets), device=targets.device), len(targets)
        hardest = rows.where(rivals & (similarity == lowest), none).amin(1)
        blended = self.momentum * prototypes + (1 - self.momentum) * features[hardest.clamp(max=none - 1)]
        return F.normalize(blended).where((hardest < none)[:, None], prototypes)
