"""What the losses read: the outputs of a training forward pass, as tensors. Losses know nothing of the model."""

from typing import NamedTuple

import torch


class Prototypes(NamedTuple):
    """CPC's memories at the time of the forward pass.

    Attributes:
        visible: (N, D + E) float32, M_v.
        infrared: (N, D + E) float32, M_r.
    """

    visible: torch.Tensor
    infrared: torch.Tensor


class ClipOutputs(NamedTuple):
    """A training batch of B clips of T frames, seen by the heads.

    Branches are "tower" (z), "sii", "lii" and "cii"; a branch that the configuration switches off is absent.

    Attributes:
        targets: (B,) int64, identities 0..N-1.
        tower_feature: (B, D + E) float, z.
        metric_features: by name, (B, D) or (B, E) float: c̄, p̄, s̄, l̄, x̄ before their necks.
        clip_logits: by branch, (B, N) float.
        frame_logits: by branch, (B, T, N) float; never of "cii".
        prototypes: None if CPC is off.
    """

    targets: torch.Tensor
    tower_feature: torch.Tensor
    metric_features: dict[str, torch.Tensor]
    clip_logits: dict[str, torch.Tensor]
    frame_logits: dict[str, torch.Tensor]
    prototypes: Prototypes | None
