"""The CLIP image tower as a backbone: every token of every frame, and a camera embedding on the class token.

Shapes: F frames (B·T of them), H×W pixels, L = h·w patches, D token width, E projected width, C known cameras.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from fastreid.modeling.backbones.build import BACKBONE_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

logger = logging.getLogger(__name__)

Patches = Literal["learning", "detached", "left out"]


class CLIPTokens(NamedTuple):
    """The tower's outputs for each frame.

    Attributes:
        tokens: (F, 1+L, D) after the final layer norm; the class token first, then the patches row by row. Without
            gradient where patches are "detached"; (F, 1, D) where they are "left out".
        class_tokens: (F, D), the first of them, with gradient.
        projected: (F, E) the class token in CLIP's joint space.
    """

    tokens: Tensor
    class_tokens: Tensor
    projected: Tensor


class CLIPVisionTower(nn.Module):
    """open_clip's image tower with a learned camera embedding (method: Backbone).

    Attributes:
        visual: open_clip's VisionTransformer; its parameter names are those of CLIP checkpoints.
        camera_embedding: (C, D), or None where no camera is known.
        camera_numbers: (C,) int64 buffer, ascending: row i of the embedding belongs to camera ``camera_numbers[i]``. It
            is part of the checkpoint, so trained rows cannot be attributed to another set's cameras: loading weights of
            other cameras leaves both as they are.
        embed_dim: D.
        projected_dim: E.
        grid: (h, w) patches.
        num_cameras: C.
    """

    camera_numbers: Tensor
    camera_embedding: nn.Parameter | None

    def __init__(
        self,
        *,
        model: str,
        image_size: tuple[int, int],
        cameras: Sequence[int] = (),
        sie_coe: float = 1.0,
        freeze_patch: bool = True,
    ) -> None:
        """Build the tower with fresh weights.

        Args:
            model: see :func:`xreid_plugin.modeling.clip_config.read_model_config`.
            image_size: (H, W) in pixels, multiples of the model's patch size.
            cameras: the dataset's camera numbers, in any order; empty means no camera embedding.
            sie_coe: factor on the camera embedding.
            freeze_patch: whether the patch convolution keeps its weights in training.

        Raises:
            FileNotFoundError: ``model`` names a JSON file that does not exist.
            ValueError: unknown or unsupported model, unfit image size.
        """
        super().__init__()
        # Imported here, since only those who build a tower need open_clip and all that it imports.
        from xreid_plugin.modeling.clip_config import build_image_tower

        self.visual = build_image_tower(model, image_size)
        self.visual.conv1.weight.requires_grad_(not freeze_patch)
        self.grid: tuple[int, int] = self.visual.grid_size
        self.embed_dim: int = self.visual.conv1.out_channels
        self.projected_dim: int = self.visual.output_dim
        self.sie_coe = sie_coe

        known = sorted(set(cameras))
        self.num_cameras = len(known)
        self.register_buffer("camera_numbers", torch.tensor(known, dtype=torch.int64))
        embedding = nn.Parameter(torch.empty(len(known), self.embed_dim)) if known else None
        if embedding is not None:
            nn.init.trunc_normal_(embedding, std=0.02)
        self.register_parameter("camera_embedding", embedding)

    def forward(self, images: Tensor, camids: Tensor | None = None, patches: Patches = "learning") -> CLIPTokens:
        """Encode frames one by one.

        Args:
            images: (F, 3, H, W) floating point, normalised; any memory format.
            camids: (F,) int64, the dataset's camera numbers; a frame of one that is not among ``camera_numbers``, or
                all where this is None, have no camera embedding. Whoever knows the numbers before they are on a GPU
                refuses them (MODEL.BACKBONE.UNSEEN_CAMERA): here it would have to wait to read them.
            patches: what the tokens are for: "learning" of all, reading them "detached", or nothing ("left out").

        Returns:
            Tokens and class tokens; in the autocast dtype where autocast is on.
        """
        visual = self.visual
        embedded = visual.conv1(images).flatten(2).transpose(1, 2)
        # Summed in the parameters' precision: a camera's small offset must not be rounded away under autocast.
        class_token = self._class_tokens(len(embedded), camids).to(embedded.dtype)
        tokens = torch.cat([class_token, embedded], dim=1) + visual.positional_embedding.to(embedded.dtype)
        tokens = visual.ln_pre(tokens)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            tokens = self._run(block, tokens)
        if patches == "learning" or (patches == "detached" and not torch.is_grad_enabled()):
            tokens = visual.ln_post(self._run(last, tokens))
            class_tokens = tokens[:, 0]
        else:
            class_tokens = visual.ln_post(self._run(last, tokens, first_only=True))[:, 0]
            with torch.no_grad():
                tokens = visual.ln_post(last(tokens)) if patches == "detached" else class_tokens.detach()[:, None]
        return CLIPTokens(tokens, class_tokens, class_tokens @ visual.proj)

    def _run(self, block: nn.Module, tokens: Tensor, **options: Any) -> Tensor:
        if not self.visual.transformer.grad_checkpointing:
            return block(tokens, **options)
        return checkpoint(block, tokens, use_reentrant=False, **options)

    def _class_tokens(self, num_frames: int, camids: Tensor | None) -> Tensor:
        """(F, 1, D): the class embedding, plus each frame's camera where one is given and known."""
        class_token = self.visual.class_embedding.expand(num_frames, 1, -1)
        if camids is None or self.camera_embedding is None:
            return class_token
        # searchsorted warns on a strided input, which expand() over the frames of a clip gives.
        rows = torch.searchsorted(self.camera_numbers, camids.contiguous()).clamp(max=self.num_cameras - 1)
        known = self.camera_numbers[rows] == camids
        cameras = F.embedding(rows, self.camera_embedding) * known.unsqueeze(1)
        return class_token + self.sie_coe * cameras.unsqueeze(1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        numbers, rows = f"{prefix}camera_numbers", f"{prefix}camera_embedding"
        if self.camera_embedding is not None and rows in state_dict and numbers in state_dict:
            own, others = self.camera_numbers.tolist(), state_dict[numbers].tolist()
            if own != others:
                logger.warning(f"The weights have embeddings of cameras {others}; the model's, {own}, start untrained.")
                state_dict = {**state_dict, numbers: self.camera_numbers, rows: self.camera_embedding}
        super()._load_from_state_dict(state_dict, prefix, *rest)


@BACKBONE_REGISTRY.register()
def build_clip_vision_backbone(cfg: Any) -> CLIPVisionTower:
    """Build the tower of ``cfg`` and, with ``MODEL.BACKBONE.PRETRAIN``, load its weights.

    ``MODEL.BACKBONE.PRETRAIN_PATH`` names a file and takes precedence over ``MODEL.BACKBONE.CLIP_TAG``, which
    open_clip downloads.

    Raises:
        FileNotFoundError: no weights under that path, or none available for that tag.
        ValueError: a config value that does not fit, or weights that are not those of this tower.
    """
    backbone = cfg.MODEL.BACKBONE
    height, width = cfg.INPUT.SIZE_TRAIN
    tower = CLIPVisionTower(
        model=backbone.CLIP_MODEL,
        image_size=(height, width),
        cameras=backbone.CAMERAS if backbone.CAMERA_EMBEDDING else (),
        sie_coe=backbone.SIE_COE,
        freeze_patch=backbone.FREEZE_PATCH,
    )
    tower.visual.set_grad_checkpointing(backbone.GRAD_CHECKPOINTING)
    if backbone.PRETRAIN:
        from xreid_plugin.modeling.clip_weights import fetch_pretrained, load_clip_weights

        if backbone.PRETRAIN_PATH:
            load_clip_weights(tower.visual, Path(backbone.PRETRAIN_PATH).expanduser())
        else:
            path, quick_gelu = fetch_pretrained(backbone.CLIP_MODEL, backbone.CLIP_TAG)
            load_clip_weights(tower.visual, path, quick_gelu=quick_gelu)
    return tower
