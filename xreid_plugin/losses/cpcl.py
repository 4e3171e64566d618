"""CPCL, Cross-modality Prototype Collaboration Loss (paper: equations 3 and 4; method: CPC 3).

Shapes: B clips, N identities, F channels of z.
"""

import torch
from torch.nn import functional as F

from xreid_plugin.data.tracklet import Modality


def cpcl_loss(
    features: torch.Tensor,
    targets: torch.Tensor,
    visible_prototypes: torch.Tensor,
    infrared_prototypes: torch.Tensor,
    temperature: float = 0.05,
    *,
    negatives: str = "all",
    own_modality: torch.Tensor | None = None,
) -> torch.Tensor:
    """Pulls a clip to its identity's prototypes and away from the others'.

    L = mean over clips of −log softmax(u·M_vᵀ/τ)_y, plus the same with M_r; u = z/‖z‖.

    Args:
        features: (B, F) float, z of clips of either modality; any norm.
        targets: (B,) int64, 0..N-1.
        visible_prototypes: (N, F) float, M_v, unit rows; no gradient flows into them.
        infrared_prototypes: (N, F) float, M_r, unit rows; no gradient flows into them.
        temperature: τ, above 0.
        negatives: which identities the softmax runs over: "all" N, or those of the "batch".
        own_modality: None lets every clip meet both memories (collaboration). Else (B,) int64, values of Modality: a
            clip meets the memory of its own modality alone, and each memory's mean is over the clips that meet it.

    Returns:
        Scalar, at least 0.
    """
    unit = F.normalize(features)
    loss = features.new_zeros(())
    for modality, prototypes in ((Modality.VISIBLE, visible_prototypes), (Modality.INFRARED, infrared_prototypes)):
        logits = unit @ prototypes.detach().t().to(unit.dtype) / temperature
        if negatives == "batch":
            absent = torch.ones_like(logits[0], dtype=torch.bool).index_fill(0, targets, False)
            logits = logits.masked_fill(absent, -torch.inf)
        per_clip = F.cross_entropy(logits, targets, reduction="none")
        if own_modality is None:
            loss = loss + per_clip.mean()
        else:
            meets = own_modality == modality
            loss = loss + per_clip.where(meets, 0.0).sum() / meets.sum().clamp(min=1)
    return loss
