"""CMCL, Cross-Modality Constraint Loss (paper: equation 9; method: CMCL).

Shapes: B = 2·P·K clips, the infrared block first; D channels.
"""

import torch


def cmcl_loss(features: torch.Tensor, counterparts: torch.Tensor) -> torch.Tensor:
    """A clip's sequence feature must be near what it becomes by reading its partner of the other modality.

    L = Σ_m 1/(P·K) · Σ over the P·K clips of modality m of ‖ō − O‖²₂. The gradient goes into both sides. [D]

    Args:
        features: (B, D) float, ō of one branch of MII.
        counterparts: (B, D) float, O, the same clips' features after CII.

    Returns:
        Scalar, at least 0.
    """
    infrared, visible = (features - counterparts).square().sum(1).chunk(2)
    return infrared.mean() + visible.mean()
