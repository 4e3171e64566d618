"""What the losses read: the outputs of a training forward pass, as tensors. Losses know nothing of the model."""

from typing import NamedTuple

import torch


class Prototypes(NamedTuple):
    """CPC's memories at the time of the forward pass.

    Attributes:
        visible: (N, F) float32, M_v.
        infrared: (N, F) float32, M_r.
    """

    visible: torch.Tensor
    infrared: torch.Tensor


class ClipOutputs(NamedTuple):
    """A training batch of B clips of T frames, the infrared block first, seen by the heads.

    Attributes:
        targets: (B,) int64, identities 0..N-1.
        modalities: (B,) int64, values of Modality.
        tower_feature: (B, F) float, z.
        metric_features: by name, (B, channels) float: c̄, p̄ and ō before their necks.
        clip_logits: by head, "tower" and those of MII, (B, N) float.
        frame_logits: by head, (B, T, N) float.
        sequences: by branch of MII, (B, D) float: ō of the branch, before fusion.
        counterparts: by branch, (B, D) float: O, its sequence after CII; empty without CII.
        prototypes: None if CPC is off.
    """

    targets: torch.Tensor
    modalities: torch.Tensor
    tower_feature: torch.Tensor
    metric_features: dict[str, torch.Tensor]
    clip_logits: dict[str, torch.Tensor]
    frame_logits: dict[str, torch.Tensor]
    sequences: dict[str, torch.Tensor]
    counterparts: dict[str, torch.Tensor]
    prototypes: Prototypes | None
