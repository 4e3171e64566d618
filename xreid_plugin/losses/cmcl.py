"""CMCL, Cross-Modality Constraint Loss (named in the paper; method: CMCL, this project's decision).

Shapes: n pairs of an infrared and a visible clip of one identity, N identities, D channels of the CII feature. Clips
come as a batch does: B = 2n rows, the infrared block first, partners at the same place of the two blocks.
"""

import torch
from torch.nn import functional as F


def cmcl_loss(
    interaction: torch.Tensor,
    interaction_logits: torch.Tensor,
    plain_logits: torch.Tensor,
    temperature: float = 4.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What two modalities read from each other must agree, and is handed on to the features that inference keeps.

    align = 1 − cos(x̄_{v←r}, x̄_{r←v}); transfer = ½·Σ_m KL(softmax(g(x̄_m)/θ) ‖ softmax(g_plain(f_m)/θ))·θ²; the
    logits g of the CII feature are the teacher's, and get no gradient from the transfer.

    Args:
        interaction: (2n, D) float, x̄.
        interaction_logits: (2n, N) float, g(x̄).
        plain_logits: (2n, N) float, g_plain(f).
        temperature: θ, above 0.

    Returns:
        (align, transfer), scalars averaged over pairs: align 0 to 2, transfer at least 0.

    Raises:
        ValueError: an odd number of clips, which cannot be pairs.
    """
    if len(interaction) % 2:
        raise ValueError(f"CMCL needs pairs of clips, but the batch has {len(interaction)}.")
    infrared, visible = interaction.chunk(2)
    align = (1 - F.cosine_similarity(visible, infrared, dim=1)).mean()
    teacher = F.log_softmax(interaction_logits.detach() / temperature, dim=1)
    student = F.log_softmax(plain_logits / temperature, dim=1)
    # ½ over both modalities, then the mean over pairs, is the mean over clips.
    transfer = F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
    return align, transfer
