"""Necks, classifiers and the embedding (method: Backbone, MII, Total, Embedding).

Shapes: B clips, T frames, D token channels, E projected channels, N identities.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from fastreid.config import configurable
from fastreid.modeling.heads.build import REID_HEADS_REGISTRY
from torch import nn


class FrameFeatures(NamedTuple):
    """Frame-level features of a batch of clips; a branch that is switched off is absent from ``interactions``.

    Attributes:
        class_tokens: (B, T, D) float, c_t.
        projected: (B, T, E) float, p_t.
        interactions: by branch, (B, T, D) float: "sii" s_t, "lii" l_t, and in training "cii" x_t.
    """

    class_tokens: torch.Tensor
    projected: torch.Tensor
    interactions: dict[str, torch.Tensor]

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "FrameFeatures":
        """The same change applied to every tensor."""
        return FrameFeatures(
            change(self.class_tokens),
            change(self.projected),
            {branch: change(frames) for branch, frames in self.interactions.items()},
        )


class HeadOutputs(NamedTuple):
    """What training needs from the heads; the fields are those of the same name in ``losses.outputs.ClipOutputs``."""

    tower_feature: torch.Tensor
    metric_features: dict[str, torch.Tensor]
    clip_logits: dict[str, torch.Tensor]
    frame_logits: dict[str, torch.Tensor]


def neck(dim: int) -> nn.BatchNorm1d:
    """A batch-norm neck with a frozen bias. [C]"""
    norm = nn.BatchNorm1d(dim)
    norm.bias.requires_grad_(False)
    return norm


def classifier(dim: int, num_classes: int) -> nn.Linear:
    """A linear classifier without bias, near zero at first. [C]"""
    linear = nn.Linear(dim, num_classes, bias=False)
    nn.init.normal_(linear.weight, std=0.001)
    return linear


class TowerHead(nn.Module):
    """The head of the tower's own features: z, the feature that CPC works on, and its classifiers."""

    def __init__(self, embed_dim: int, projected_dim: int, num_classes: int) -> None:
        """
        Args:
            embed_dim: D.
            projected_dim: E.
            num_classes: N.
        """
        super().__init__()
        self.class_neck = neck(embed_dim)
        self.projected_neck = neck(projected_dim)
        self.class_frame_neck = neck(embed_dim)
        self.projected_frame_neck = neck(projected_dim)
        self.classifier = classifier(embed_dim + projected_dim, num_classes)
        self.frame_classifier = classifier(embed_dim + projected_dim, num_classes)

    def feature(self, features: FrameFeatures) -> torch.Tensor:
        """z = [BN(c̄) ; BN(p̄)], (B, D + E)."""
        c, p = features.class_tokens.mean(1), features.projected.mean(1)
        return torch.cat([self.class_neck(c), self.projected_neck(p)], dim=1)

    def frame_logits(self, features: FrameFeatures) -> torch.Tensor:
        """Logits of z_t, (B, T, N)."""
        c = self.class_frame_neck(features.class_tokens.flatten(0, 1))
        p = self.projected_frame_neck(features.projected.flatten(0, 1))
        return self.frame_classifier(torch.cat([c, p], dim=1)).unflatten(0, features.class_tokens.shape[:2])


class InteractionHead(nn.Module):
    """The head of one interaction of MII. Clips and frames share the classifier, not the neck. [C]"""

    def __init__(self, embed_dim: int, num_classes: int, per_frame: bool) -> None:
        """
        Args:
            embed_dim: D.
            num_classes: N.
            per_frame: classify single frames too.
        """
        super().__init__()
        self.neck = neck(embed_dim)
        self.frame_neck = neck(embed_dim) if per_frame else None
        self.classifier = classifier(embed_dim, num_classes)

    def frame_logits(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to (B, T, N)."""
        assert self.frame_neck is not None
        return self.classifier(self.frame_neck(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])


@REID_HEADS_REGISTRY.register()
class XReIDHead(nn.Module):
    """X-ReID's necks and classifiers in training, its embedding in evaluation."""

    @configurable
    def __init__(self, *, embed_dim: int, projected_dim: int, num_classes: int, branches: tuple[str, ...]) -> None:
        """
        Args:
            embed_dim: D.
            projected_dim: E.
            num_classes: N, at least 1.
            branches: the branches of MII, out of "sii", "lii" and "cii".

        Raises:
            ValueError: no identities.
        """
        super().__init__()
        if num_classes < 1:
            raise ValueError("MODEL.HEADS.NUM_CLASSES is 0: build the model through the trainer, which counts them.")
        self.tower = TowerHead(embed_dim, projected_dim, num_classes)
        self.interactions = nn.ModuleDict(
            {branch: InteractionHead(embed_dim, num_classes, per_frame=branch != "cii") for branch in branches}
        )

    @classmethod
    def from_config(cls, cfg: Any, *, embed_dim: int, projected_dim: int) -> dict[str, Any]:
        """Constructor arguments; the widths are the tower's."""
        mii = cfg.MODEL.MII
        return {
            "embed_dim": embed_dim,
            "projected_dim": projected_dim,
            "num_classes": cfg.MODEL.HEADS.NUM_CLASSES,
            "branches": tuple(name for name in ("sii", "lii", "cii") if mii[name.upper()].ENABLED),
        }

    def forward(self, features: FrameFeatures) -> HeadOutputs | torch.Tensor:
        """In training :class:`HeadOutputs`, in evaluation :meth:`embedding`."""
        if not self.training:
            return self.embedding(features)
        z = self.tower.feature(features)
        metric = {"class": features.class_tokens.mean(1), "projected": features.projected.mean(1)}
        clip_logits = {"tower": self.tower.classifier(z)}
        frame_logits = {"tower": self.tower.frame_logits(features)}
        for branch, frames in features.interactions.items():
            head = self._interaction(branch)
            metric[branch] = frames.mean(1)
            clip_logits[branch] = head.classifier(head.neck(metric[branch]))
            if head.frame_neck is not None:
                frame_logits[branch] = head.frame_logits(frames)
        return HeadOutputs(z, metric, clip_logits, frame_logits)

    def embedding(self, features: FrameFeatures) -> torch.Tensor:
        """e = [BN(c̄) ; BN(p̄) ; BN(s̄) ; BN(l̄)], (B, 2816) at the paper's size (method: Embedding).

        Not normalised: dense evaluation averages clips before it normalises.
        """
        parts = [self.tower.feature(features)]
        for branch in ("sii", "lii"):
            if branch in features.interactions:
                parts.append(self._interaction(branch).neck(features.interactions[branch].mean(1)))
        return torch.cat(parts, dim=1)

    def _interaction(self, branch: str) -> InteractionHead:
        return cast(InteractionHead, self.interactions[branch])
