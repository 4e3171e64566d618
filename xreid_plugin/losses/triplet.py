"""The batch-hard triplet loss (method: Total, L_tri).

Shapes: B samples, D channels.
"""

import torch


def triplet_loss(features: torch.Tensor, targets: torch.Tensor, margin: float = 0.3) -> torch.Tensor:
    """Each sample's farthest positive must be nearer than its nearest negative, by a margin.

    mean over anchors of max(0, d(a, p*) − d(a, n*) + margin), d Euclidean (Hermans et al., 2017). A sample is no
    positive of itself. Anchors without a positive or without a negative do not count; a batch without any other anchor
    gives a zero that is still part of the graph.

    Args:
        features: (B, D) float, not normalised.
        targets: (B,) int64, identities.
        margin: at least 0.

    Returns:
        Scalar, at least 0, float32 or the features' float64.
    """
    with torch.autocast(features.device.type, enabled=False):
        full = features.to(torch.promote_types(features.dtype, torch.float32))
        # Differences first: through products of whole features, equal samples of large norm come out apart.
        distance = torch.cdist(full, full, compute_mode="donot_use_mm_for_euclid_dist")
    same = targets[:, None] == targets[None, :]
    positive = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    farthest = distance.masked_fill(~positive, -torch.inf).amax(1)
    nearest = distance.masked_fill(same, torch.inf).amin(1)
    counts = positive.any(1) & ~same.all(1)
    hinge = torch.where(counts, (farthest - nearest + margin).clamp(min=0), torch.zeros_like(farthest))
    return hinge.sum() / counts.sum().clamp(min=1)
