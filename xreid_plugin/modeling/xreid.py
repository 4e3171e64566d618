"""The X-ReID meta-architecture: clips to losses in training, to embeddings in evaluation.

Shapes: B clips, T frames, L patches a frame, D token channels, E projected channels, N identities.
"""

from collections.abc import Sequence
from typing import Any

import torch
from fastreid.modeling.backbones import build_backbone
from fastreid.modeling.heads.build import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from xreid_plugin.data.tracklet import CAMIDS, IMAGES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.losses.build import build_losses, computed_terms
from xreid_plugin.losses.outputs import ClipOutputs, Prototypes
from xreid_plugin.modeling.clip_vit import CLIPTokens, CLIPVisionTower, Patches
from xreid_plugin.modeling.gather import GlobalBatch
from xreid_plugin.modeling.heads import FrameFeatures, XReIDHead
from xreid_plugin.modeling.mii import build_interactions
from xreid_plugin.modeling.prototypes import PrototypeMemory


@META_ARCH_REGISTRY.register()
class XReID(nn.Module):
    """CLIP tower, MII, heads, and CPC's memory (paper: figure 2; method: all of it).

    With several processes each rank runs the tower and MII on its own clips (partners share a rank); from the heads on,
    every rank works on the clips of all, so batch statistics, triplets, pairs and prototypes are those of a single
    process.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, cfg: Any) -> None:
        """
        Args:
            cfg: complete; backbone and heads come from the host's registries by their names.
        """
        super().__init__()
        self.backbone: CLIPVisionTower = build_backbone(cfg)
        embed_dim, cpc = self.backbone.embed_dim, cfg.MODEL.CPC
        heads = REID_HEADS_REGISTRY.get(cfg.MODEL.HEADS.NAME)(cfg, embed_dim, self.backbone.projected_dim)
        self.mii = build_interactions(cfg, embed_dim)
        self.heads: XReIDHead = heads
        self.prototypes: PrototypeMemory | None = None
        if cpc.ENABLED:
            identities = cfg.MODEL.HEADS.NUM_CLASSES
            self.prototypes = PrototypeMemory(identities, heads.feature_dim, cpc.MOMENTUM, cpc.UPDATE)
        self.losses = build_losses(cfg)
        # Stops the gradient between the backbone and MII.
        self.detach: bool = cfg.MODEL.MII.DETACH
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the model is; the host's name for it."""
        return self.pixel_mean.device

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor] | torch.Tensor:
        """
        Args:
            batch: images (B, T, 3, H, W) uint8, RGB; camids (B,) int64; in training also targets and modalities (B,)
                int64, the infrared block first; lengths, B numbers, where clips repeat their last frame.

        Returns:
            In training the loss terms of the clips of all ranks, weighted scalars by name; in evaluation (B, F)
            embeddings, not normalised.
        """
        features = self.frame_features(batch[IMAGES], batch[CAMIDS], batch.get(LENGTHS))
        # Batch statistics, similarities over τ and distances are small work that half precision would spoil.
        with torch.autocast(self.device.type, enabled=False):
            if not self.training:
                return self.heads(features)
            every = GlobalBatch(batch[TARGETS].to(self.device), batch[MODALITIES].to(self.device))
            outputs = self.heads(features.map(every))
            prototypes = None
            if self.prototypes is not None:
                # z cannot leave this function otherwise: the host's step takes nothing but losses from a model. What
                # is kept waits for the update after the backward pass; the memories themselves do not change here.
                self.prototypes.observe(outputs.tower_feature, every.targets, every.modalities)
                prototypes = Prototypes(visible=self.prototypes.visible, infrared=self.prototypes.infrared)
            clip_outputs = ClipOutputs(
                targets=every.targets, modalities=every.modalities, prototypes=prototypes, **outputs._asdict()
            )
            return computed_terms(self.losses, clip_outputs)

    def frame_features(
        self, images: torch.Tensor, camids: torch.Tensor | None, lengths: Sequence[int] | None = None
    ) -> FrameFeatures:
        """Runs the tower and the interactions; CII in training alone.

        Args:
            images: (B, T, 3, H, W) uint8, RGB.
            camids: (B,) int64, the dataset's camera numbers; None leaves the camera embedding out.
            lengths: of each clip, 1..T, the frames before it repeats its last; None means T.
        """
        parts = {branch: part for branch, part in self.mii.items() if self.training or branch != "cii"}
        patches: Patches = "left out" if not parts else "detached" if self.detach else "learning"
        tokens, class_tokens, projected = self._encode(images, camids, lengths, patches)
        branches = {branch: part(tokens) for branch, part in parts.items() if branch != "cii"}
        features = FrameFeatures(class_tokens, projected, branches, {})
        if "cii" in parts:
            counterparts = {branch: parts["cii"](sequence, tokens) for branch, sequence in features.sequences.items()}
            features = features._replace(counterparts=counterparts)
        return features.map(self._in_full)

    @torch.no_grad()
    def sequence_features(self, images: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
        """The tower's features of clips for the prototypes, before the neck: without camera embedding and without MII.

        Args:
            images: (B, T, 3, H, W) uint8, RGB.
            lengths: see :meth:`frame_features`.

        Returns:
            (B, F) float.
        """
        _, class_tokens, projected = self._encode(images, None, lengths, "left out")
        features = FrameFeatures(class_tokens, projected, {}, {}).map(self._in_full)
        return self.heads.tower_frames(features).mean(1)

    @torch.no_grad()
    def extract_prototypes(
        self, sequences: torch.Tensor, targets: torch.Tensor, modalities: torch.Tensor, fit_neck: bool
    ) -> None:
        """Makes the prototypes anew, of z of every training tracklet (method: CPC 1).

        Args:
            sequences: (n, F) float, what :meth:`sequence_features` gives for all training tracklets, over all ranks.
            targets: (n,) int64.
            modalities: (n,) int64, values of Modality.
            fit_neck: set the neck's running mean and variance to those of the sequences first. An untrained neck is
                the identity, while training's z is whitened: without this the first prototypes would lie in another
                space than the clips that are compared with them. [D]
        """
        assert self.prototypes is not None
        neck = self.heads.tower.neck
        assert neck.running_mean is not None
        assert neck.running_var is not None
        if fit_neck:
            # On the CPU, where the order of a sum is one and the same on every rank.
            variance, mean = torch.var_mean(sequences.float().cpu(), dim=0)
            neck.running_mean.copy_(mean)
            neck.running_var.copy_(variance)
        z = F.batch_norm(
            sequences.to(self.device), neck.running_mean, neck.running_var, neck.weight, neck.bias, eps=neck.eps
        )
        self.prototypes.refresh(z, targets, modalities)

    def _encode(
        self, images: torch.Tensor, camids: torch.Tensor | None, lengths: Sequence[int] | None, patches: Patches
    ) -> CLIPTokens:
        """The tower's outputs, with (B, T) in place of its frames."""
        shape = images.shape[:2]
        frames = images.to(self.device).flatten(0, 1)
        per_frame = camids.to(self.device).repeat_interleave(shape[1]) if camids is not None else None
        if lengths is None or min(lengths) == shape[1]:
            encoded = self.backbone(self._normalise(frames), per_frame, patches)
        else:
            kept, places = distinct_frames(lengths, shape[1], self.device)
            per_frame = per_frame[kept] if per_frame is not None else None
            encoded = self.backbone(self._normalise(frames[kept]), per_frame, patches)
            encoded = (rows[places] for rows in encoded)
        return CLIPTokens(*(rows.unflatten(0, shape) for rows in encoded))

    def _normalise(self, images: torch.Tensor) -> torch.Tensor:
        return (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std

    def _in_full(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """In the model's own precision, whatever autocast has made of them."""
        return [part.to(self.pixel_mean.dtype) for part in parts]


def distinct_frames(lengths: Sequence[int], frames: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Which frames of a batch differ, and where their features belong.

    Clips of short tracklets repeat their last frame; a tower that sees frames one by one needs to see it only once.

    Args:
        lengths: of each of B clips, 1..T, how many frames differ; the last of them fills up the rest.
        frames: T.
        device: of the results.

    Returns:
        The n rows of the B·T frames that differ, (n,) int64; and for each of the B·T its place among them.
    """
    counts, time = torch.as_tensor(lengths)[:, None], torch.arange(frames)
    kept = (time < counts).flatten().nonzero()[:, 0]
    places = (counts.cumsum(0) - counts + torch.minimum(time, counts - 1)).flatten()
    # Found on the CPU: a device would be waited for, as only it would know how many are kept.
    return kept.to(device, non_blocking=True), places.to(device, non_blocking=True)
