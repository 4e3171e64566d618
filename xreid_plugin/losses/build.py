"""The terms of L_total, each registered by the name that MODEL.LOSSES.NAME gives it.

An entry is built with a configuration and called with :class:`ClipOutputs`; it returns named scalars, weighted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from xreid_plugin.losses.cmcl import cmcl_loss
from xreid_plugin.losses.cpcl import cpcl_loss
from xreid_plugin.losses.outputs import ClipOutputs
from xreid_plugin.losses.triplet import triplet_loss
from xreid_plugin.registry import LOSS_REGISTRY

LossTerm = Callable[[ClipOutputs], dict[str, torch.Tensor]]


def build_losses(cfg: Any) -> list[LossTerm]:
    """The terms that MODEL.LOSSES.NAME names, in its order.

    Raises:
        KeyError: an unknown name.
    """
    entries: list[Any] = [LOSS_REGISTRY.get(name) for name in cfg.MODEL.LOSSES.NAME]
    return [entry(cfg) for entry in entries]


def computed_terms(losses: Sequence[LossTerm], outputs: ClipOutputs) -> dict[str, torch.Tensor]:
    """Every loss of the batch, weighted scalars by name.

    Raises:
        ValueError: two losses give a term of the same name, so that one of them would not count.
    """
    terms: dict[str, torch.Tensor] = {}
    for loss in losses:
        found = loss(outputs)
        if repeated := terms.keys() & found.keys():
            raise ValueError(f"Two losses of MODEL.LOSSES.NAME give a term named {', '.join(sorted(repeated))}.")
        terms |= found
    return terms


@LOSS_REGISTRY.register()
class CrossEntropyLoss:
    """L_ce: identity classification of clips and of single frames (method: Total)."""

    def __init__(self, cfg: Any) -> None:
        """Reads MODEL.LOSSES.CE.CLIP_SCALE and FRAME_SCALE."""
        self.clip_scale = cfg.MODEL.LOSSES.CE.CLIP_SCALE
        self.frame_scale = cfg.MODEL.LOSSES.CE.FRAME_SCALE

    def __call__(self, outputs: ClipOutputs) -> dict[str, torch.Tensor]:
        """Cross-entropy summed over heads; of frames, the mean over all B·T times 1/T."""
        clip = [F.cross_entropy(logits, outputs.targets) for logits in outputs.clip_logits.values()]
        frame = [
            F.cross_entropy(logits.flatten(0, 1), outputs.targets.repeat_interleave(logits.shape[1])) / logits.shape[1]
            for logits in outputs.frame_logits.values()
        ]
        return {
            "loss_ce_clip": self.clip_scale * torch.stack(clip).sum(),
            "loss_ce_frame": self.frame_scale * torch.stack(frame).sum(),
        }


@LOSS_REGISTRY.register()
class TripletLoss:
    """L_tri: batch-hard triplets of c̄, p̄ and ō (method: Total)."""

    def __init__(self, cfg: Any) -> None:
        """Reads the host's MODEL.LOSSES.TRI.MARGIN and SCALE."""
        self.margin = cfg.MODEL.LOSSES.TRI.MARGIN
        self.scale = cfg.MODEL.LOSSES.TRI.SCALE

    def __call__(self, outputs: ClipOutputs) -> dict[str, torch.Tensor]:
        """The sum over features."""
        terms = [triplet_loss(f, outputs.targets, self.margin) for f in outputs.metric_features.values()]
        return {"loss_triplet": self.scale * torch.stack(terms).sum()}


@LOSS_REGISTRY.register()
class CPCL:
    """L_CPCL: both modalities' prototypes attract every clip (equations 3 and 4)."""

    def __init__(self, cfg: Any) -> None:
        """Reads MODEL.CPC.TEMPERATURE, NEGATIVES and COLLABORATION, and MODEL.LOSSES.CPCL.SCALE."""
        cpc = cfg.MODEL.CPC
        self.temperature = cpc.TEMPERATURE
        self.negatives = cpc.NEGATIVES
        self.collaboration = cpc.COLLABORATION
        self.scale = cfg.MODEL.LOSSES.CPCL.SCALE

    def __call__(self, outputs: ClipOutputs) -> dict[str, torch.Tensor]:
        """CPCL of the batch."""
        assert outputs.prototypes is not None
        loss = cpcl_loss(
            outputs.tower_feature,
            outputs.targets,
            *outputs.prototypes,
            self.temperature,
            negatives=self.negatives,
            own_modality=None if self.collaboration else outputs.modalities,
        )
        return {"loss_cpcl": self.scale * loss}


@LOSS_REGISTRY.register()
class CMCL:
    """L_CMCL: what CII makes of a clip stays near the clip (equation 9), summed over the branches of MII."""

    def __init__(self, cfg: Any) -> None:
        """Reads MODEL.LOSSES.CMCL.SCALE."""
        self.scale = cfg.MODEL.LOSSES.CMCL.SCALE

    def __call__(self, outputs: ClipOutputs) -> dict[str, torch.Tensor]:
        """CMCL of the batch."""
        terms = [cmcl_loss(outputs.sequences[branch], rows) for branch, rows in outputs.counterparts.items()]
        return {"loss_cmcl": self.scale * torch.stack(terms).sum()}
