"""CPCL, Cross-modality Prototype Collaboration Loss (paper: CPC; method: CPC 2).

Shapes: B clips, N identities, F channels of z.
"""

import torch
from torch.nn import functional as F


def cpcl_loss(
    features: torch.Tensor,
    targets: torch.Tensor,
    visible_prototypes: torch.Tensor,
    infrared_prototypes: torch.Tensor,
    temperature: float = 0.05,
) -> torch.Tensor:
    """Pulls a clip of either modality to its identity's prototype of both.

    L = mean CE(u·M_vᵀ/τ, y) + mean CE(u·M_rᵀ/τ, y), u = z/‖z‖.

    Args:
        features: (B, F) float, z of clips of either modality; any norm.
        targets: (B,) int64, 0..N-1.
        visible_prototypes: (N, F) float, M_v, unit rows; no gradient flows into them.
        infrared_prototypes: (N, F) float, M_r, likewise.
        temperature: τ, above 0.

    Returns:
        Scalar, at least 0.
    """
    unit = F.normalize(features)
    return sum(
        F.cross_entropy(unit @ prototypes.detach().t().to(unit.dtype) / temperature, targets)
        for prototypes in (visible_prototypes, infrared_prototypes)
    )  # type: ignore[return-value]
