"""Necks, classifiers and the embedding (method: Backbone, MII, Total, Embedding).

Shapes: B clips, T frames, D token channels, E projected channels, F channels of the tower's feature z, N identities.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from fastreid.modeling.heads.build import REID_HEADS_REGISTRY
from torch import nn


class FrameFeatures(NamedTuple):
    """What the tower and MII make of a batch of clips.

    Attributes:
        class_tokens: (B, T, D) float, c_t.
        projected: (B, T, E) float, p_t.
        interactions: by branch that is on, (B, T, D) float: "sii" s_t, "lii" l_t.
        counterparts: in training with CII, by the name in :attr:`sequences`, (B, D) float: O.
    """

    class_tokens: torch.Tensor
    projected: torch.Tensor
    interactions: dict[str, torch.Tensor]
    counterparts: dict[str, torch.Tensor]

    @property
    def sequences(self) -> dict[str, torch.Tensor]:
        """ō of each branch that is on, (B, D); c̄ as "class" where none is, so that CII has something to work on. [D]"""
        branches = self.interactions or {"class": self.class_tokens}
        return {branch: frames.mean(1) for branch, frames in branches.items()}

    def map(self, change: Callable[[list[torch.Tensor]], list[torch.Tensor]]) -> "FrameFeatures":
        """All tensors changed by one call."""
        own = [self.class_tokens, self.projected, *self.interactions.values(), *self.counterparts.values()]
        class_tokens, projected, *rest = change(own)
        interactions = dict(zip(self.interactions, rest, strict=False))
        counterparts = dict(zip(self.counterparts, rest[len(interactions) :], strict=True))
        return FrameFeatures(class_tokens, projected, interactions, counterparts)


class HeadOutputs(NamedTuple):
    """What training needs from the heads; the fields are those of the same name in ``losses.outputs.ClipOutputs``."""

    tower_feature: torch.Tensor
    metric_features: dict[str, torch.Tensor]
    clip_logits: dict[str, torch.Tensor]
    frame_logits: dict[str, torch.Tensor]
    sequences: dict[str, torch.Tensor]
    counterparts: dict[str, torch.Tensor]


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


class BranchHead(nn.Module):
    """Necks and classifiers of one feature, for clips and for single frames. [C]

    Clips and frames have a neck each. The tower's have a classifier each too, those of MII share one.
    """

    def __init__(self, dim: int, num_classes: int, shared_classifier: bool) -> None:
        """
        Args:
            dim: channels of the feature.
            num_classes: N.
            shared_classifier: one classifier for clips and frames.
        """
        super().__init__()
        self.neck = neck(dim)
        self.frame_neck = neck(dim)
        self.classifier = classifier(dim, num_classes)
        self.frame_classifier = None if shared_classifier else classifier(dim, num_classes)

    def frame_logits(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, T, dim) to (B, T, N)."""
        classify = self.classifier if self.frame_classifier is None else self.frame_classifier
        return classify(self.frame_neck(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])


@REID_HEADS_REGISTRY.register()
class XReIDHead(nn.Module):
    """X-ReID's necks and classifiers in training, its embedding in evaluation.

    Attributes:
        tower: head of z, the feature that CPC works on.
        interactions: heads of MII's output: "mii" of the branches' mean, or one a branch.
        feature_dim: F.
    """

    def __init__(self, cfg: Any, embed_dim: int, projected_dim: int) -> None:
        """
        Args:
            cfg: MODEL.HEADS.TOWER_FEATURE: "both", z is of c̄ and p̄; "projected", of p̄ alone. MODEL.MII.FUSION: "mean"
                makes one feature of the branches in time, "concat" leaves each to itself.
            embed_dim: D.
            projected_dim: E.
        """
        super().__init__()
        num_classes, mii = cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.MII
        self.fusion: str = mii.FUSION
        self.tower_feature: str = cfg.MODEL.HEADS.TOWER_FEATURE
        self.feature_dim = projected_dim + (embed_dim if self.tower_feature == "both" else 0)
        self.tower = BranchHead(self.feature_dim, num_classes, shared_classifier=False)
        branches = [name for name in ("sii", "lii") if mii[name.upper()].ENABLED]
        fused = ["mii"] if self.fusion == "mean" and branches else branches
        self.interactions = nn.ModuleDict(
            {name: BranchHead(embed_dim, num_classes, shared_classifier=True) for name in fused}
        )

    def forward(self, features: FrameFeatures) -> HeadOutputs | torch.Tensor:
        """In training :class:`HeadOutputs`, in evaluation :meth:`embedding`."""
        if not self.training:
            return self.embedding(features)
        tower_frames = self.tower_frames(features)
        z = self.tower.neck(tower_frames.mean(1))
        metric = {"class": features.class_tokens.mean(1)} if self.tower_feature == "both" else {}
        metric["projected"] = features.projected.mean(1)
        clip_logits = {"tower": self.tower.classifier(z)}
        frame_logits = {"tower": self.tower.frame_logits(tower_frames)}
        for name, frames in self._fused(features).items():
            head = cast(BranchHead, self.interactions[name])
            metric[name] = frames.mean(1)
            clip_logits[name] = head.classifier(head.neck(metric[name]))
            frame_logits[name] = head.frame_logits(frames)
        return HeadOutputs(z, metric, clip_logits, frame_logits, features.sequences, features.counterparts)

    def tower_frames(self, features: FrameFeatures) -> torch.Tensor:
        """[c_t ; p_t], or p_t alone: (B, T, F). Its mean over T is the tower's sequence feature before the neck."""
        if self.tower_feature == "projected":
            return features.projected
        return torch.cat([features.class_tokens, features.projected], dim=2)

    def embedding(self, features: FrameFeatures) -> torch.Tensor:
        """e = [z ; BN(ō)], (B, 2048) at the paper's size (method: Embedding).

        With a fusion by "concat" it is [z ; BN(s̄) ; BN(l̄)], 2,816 numbers. Not normalised: dense evaluation averages
        clips before it normalises.
        """
        parts = [self.tower.neck(self.tower_frames(features).mean(1))]
        for name, frames in self._fused(features).items():
            parts.append(cast(BranchHead, self.interactions[name]).neck(frames.mean(1)))
        return torch.cat(parts, dim=1)

    def _fused(self, features: FrameFeatures) -> dict[str, torch.Tensor]:
        """What MII hands on, (B, T, D) by the name of its head: o_t, the mean of the branches, or each (equation 8)."""
        if self.fusion == "concat" or not features.interactions:
            return features.interactions
        return {"mii": torch.stack(list(features.interactions.values())).mean(0)}
