"""CLIP-ReID (Li, Sun and Li, AAAI 2023) on video clips: a prompt for each identity, learned from and for the images.

Stage 1 learns the prompts with both towers of CLIP frozen. Stage 2 starts from its checkpoint, computes the identities'
text features once, and trains the image tower to classify clips by them.

Shapes: B clips, N identities, P of them in a batch, M learned vectors of a prompt, W text channels, E channels that
image and text share.
"""

from pathlib import Path
from typing import Any

import torch
from fastreid.config import CfgNode
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from open_clip import SimpleTokenizer
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer
from torch import nn
from torch.nn import functional as F

from xreid_plugin.config import DEFAULTS
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, LENGTHS, MODALITIES, TARGETS
from xreid_plugin.losses.build import computed_terms
from xreid_plugin.losses.outputs import ClipOutputs
from xreid_plugin.modeling.clip_config import read_model_config
from xreid_plugin.modeling.clip_weights import fetch_pretrained
from xreid_plugin.modeling.gather import GlobalBatch
from xreid_plugin.modeling.heads import HeadOutputs
from xreid_plugin.modeling.weight_files import read_weight_file
from xreid_plugin.modeling.xreid import XReID
from xreid_plugin.registry import LOSS_REGISTRY

# STAGE: 1 learns the prompts, 2 the image tower. VECTORS: M. SCALE and EPSILON: weight and label smoothing of the
# image-to-text cross-entropy.
DEFAULTS.MODEL.CLIP_REID = CfgNode({"STAGE": 1, "VECTORS": 4, "SCALE": 1.0, "EPSILON": 0.1})

BEFORE, AFTER = "A photo of a", "person."
# The settings of a text tower that leave it CLIP's own: causal, and read at the last token.
_SETTINGS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "ls_init_value"}
# Every CLIP text tower has exactly one parameter of this name, and no image tower has it.
_LANDMARK = "token_embedding.weight"
_INIT_STD = 0.02


class PromptedOutputs(ClipOutputs):
    """What the losses read, with the text features of identities.

    Attributes:
        texts: (N, E) float in stage 2, all identities'; (B, E) in stage 1, that of each clip's own.
    """

    texts: torch.Tensor


class PromptedText(nn.Module):
    """CLIP's text tower, on "A photo of a [X]1 ... [X]M person." with vectors of each identity's own in place of words.

    Attributes:
        vectors: (N, M, W), the prompts.
        tower: open_clip's TextTransformer; its parameter names are those of CLIP checkpoints.
    """

    tower: Any
    before: torch.Tensor
    after: torch.Tensor

    def __init__(self, tower: Any, num_identities: int, num_vectors: int) -> None:
        """A tower that is causal, N and M."""
        super().__init__()
        self.tower = tower
        self.vectors = nn.Parameter(torch.empty(num_identities, num_vectors, tower.width))
        nn.init.normal_(self.vectors, std=_INIT_STD)
        words = SimpleTokenizer()
        sentence = {"before": [words.sot_token_id, *words.encode(BEFORE)]}
        sentence["after"] = [*words.encode(AFTER), words.eot_token_id]
        for name, tokens in sentence.items():
            self.register_buffer(name, torch.tensor(tokens), persistent=False)

    def forward(self, identities: torch.Tensor) -> torch.Tensor:
        """Text features, not normalised: (P,) int64 to (P, E).

        Nothing in a causal tower depends on what follows, so the padding after a sentence's end is left out.
        """
        tower, count = self.tower, len(identities)
        before, after = (tower.token_embedding(part).expand(count, -1, -1) for part in (self.before, self.after))
        tokens = torch.cat([before, self.vectors[identities], after], dim=1)
        length = tokens.shape[1]
        mask = tower.attn_mask[:length, :length]
        tokens = tower.transformer(tokens + tower.positional_embedding[:length], attn_mask=mask)
        features: torch.Tensor = tower.ln_final(tokens[:, -1]) @ tower.text_projection
        return features


def build_text_tower(cfg: Any) -> Any:
    """The text tower of MODEL.BACKBONE.CLIP_MODEL, with PRETRAIN its weights, from the image tower's file.

    Raises:
        FileNotFoundError, ValueError: no such weights, weights of another tower, or a tower of another kind.
    """
    backbone = cfg.MODEL.BACKBONE
    config = read_model_config(backbone.CLIP_MODEL)
    if odd := config["text_cfg"].keys() - _SETTINGS:
        raise ValueError(f"MODEL.BACKBONE.CLIP_MODEL: {backbone.CLIP_MODEL}'s text tower sets {sorted(odd)}")
    activation = QuickGELU if config.get("quick_gelu", False) else nn.GELU
    sizes = {**config["text_cfg"], "output_dim": config["embed_dim"]}
    tower = TextTransformer(**sizes, act_layer=activation, norm_layer=LayerNorm)
    if backbone.PRETRAIN:
        given = Path(backbone.PRETRAIN_PATH).expanduser() if backbone.PRETRAIN_PATH else None
        _load_text_weights(tower, given or fetch_pretrained(backbone.CLIP_MODEL, backbone.CLIP_TAG)[0])
    return tower


def _load_text_weights(tower: nn.Module, path: Path) -> None:
    tensors = read_weight_file(path).tensors
    prefixes = [name.removesuffix(_LANDMARK) for name in tensors if name.endswith(_LANDMARK)]
    wanted = [f"{prefix}{name}" for prefix in prefixes for name in tower.state_dict()]
    if len(prefixes) != 1 or not tensors.keys() >= set(wanted):
        raise ValueError(f"{path} does not hold the text tower of MODEL.BACKBONE.CLIP_MODEL, which CLIP-ReID needs.")
    try:
        tower.load_state_dict({name.removeprefix(prefixes[0]): tensors[name] for name in wanted})
    except RuntimeError as error:
        raise ValueError(f"{path} holds another text tower than MODEL.BACKBONE.CLIP_MODEL has: {error}") from error


@META_ARCH_REGISTRY.register()
class CLIPReID(XReID):
    """X-ReID's tower and heads without CPC and MII, and a text tower that training compares clips with."""

    def __init__(self, cfg: Any) -> None:
        """Stage 1 trains the prompts alone, stage 2 image tower and heads.

        Raises:
            ValueError: another stage, or a part of X-ReID that is switched on.
        """
        stage, mii = cfg.MODEL.CLIP_REID.STAGE, cfg.MODEL.MII
        if stage not in (1, 2):
            raise ValueError(f"MODEL.CLIP_REID.STAGE is {stage}; it must be 1 or 2.")
        if cfg.MODEL.CPC.ENABLED or mii.SII.ENABLED or mii.LII.ENABLED or mii.CII.ENABLED:
            raise ValueError("MODEL.CPC and MODEL.MII are X-ReID's: CLIPReID needs ENABLED False for all their parts.")
        text = PromptedText(build_text_tower(cfg), cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.CLIP_REID.VECTORS)
        super().__init__(cfg)
        self.text = text
        self.stage = stage
        self._texts: torch.Tensor | None = None
        if stage == 1:
            self.requires_grad_(False)
        text.requires_grad_(False)
        text.vectors.requires_grad_(stage == 1)
        # Other weights have other text features.
        self.register_load_state_dict_post_hook(lambda model, _: setattr(model, "_texts", None))

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor] | torch.Tensor:
        """As X-ReID's; in stage 1 images are seen without camera embedding, which nothing has taught yet."""
        if not self.training:
            return super().forward(batch)
        every = GlobalBatch(batch[TARGETS].to(self.device), batch[MODALITIES].to(self.device))
        if self.stage == 1:
            with torch.no_grad():
                frames = self.frame_features(batch[IMAGES], None, batch.get(LENGTHS)).projected
            (projected,) = every([frames.mean(1)])
            identities, places = every.targets.unique(return_inverse=True)
            texts = self.text(identities).float()[places]
            outputs = HeadOutputs(projected, {"projected": projected}, {}, {}, {}, {})
            return self._losses(every, outputs, texts)
        features = self.frame_features(batch[IMAGES], batch[CAMIDS], batch.get(LENGTHS))
        with torch.autocast(self.device.type, enabled=False):
            outputs, texts = self.heads(features.map(every)), self._all_texts()
        return self._losses(every, outputs, texts)

    def _losses(self, every: GlobalBatch, heads: HeadOutputs, texts: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = PromptedOutputs(every.targets, every.modalities, prototypes=None, **heads._asdict())
        outputs.texts = texts
        with torch.autocast(self.device.type, enabled=False):
            return computed_terms(self.losses, outputs)

    @torch.no_grad()
    def _all_texts(self) -> torch.Tensor:
        """(N, E) float, computed where they are first asked for."""
        if self._texts is None:
            everyone = torch.arange(len(self.text.vectors), device=self.device)
            self._texts = torch.cat([self.text(part) for part in everyone.split(64)]).float()
        return self._texts


def contrast(anchors: torch.Tensor, others: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over anchors of −log softmax of the products with all others, averaged over those of the same identity.

    Args:
        anchors: (B, E) float.
        others: (B, E) float.
        targets: (B,) int64, identities of both.
    """
    same = (targets[:, None] == targets[None, :]).float()
    return -((anchors @ others.T).log_softmax(1) * same).sum(1).div(same.sum(1)).mean()


@LOSS_REGISTRY.register()
class ImageTextContrast:
    """Stage 1: clips and the texts of their identities find each other in the batch."""

    def __init__(self, cfg: Any) -> None:
        """There is nothing to set."""

    def __call__(self, outputs: PromptedOutputs) -> dict[str, torch.Tensor]:
        """The loss from images to texts and from texts to images."""
        images, texts = outputs.metric_features["projected"], outputs.texts
        to_text, to_image = contrast(images, texts, outputs.targets), contrast(texts, images, outputs.targets)
        return {"loss_i2t": to_text, "loss_t2i": to_image}


@LOSS_REGISTRY.register()
class ImageToText:
    """Stage 2: cross-entropy of clips over the text features of all identities."""

    def __init__(self, cfg: Any) -> None:
        """Reads MODEL.CLIP_REID.SCALE and EPSILON."""
        self.scale, self.epsilon = cfg.MODEL.CLIP_REID.SCALE, cfg.MODEL.CLIP_REID.EPSILON

    def __call__(self, outputs: PromptedOutputs) -> dict[str, torch.Tensor]:
        """The products of image and text features, as in stage 1, are the logits."""
        logits = outputs.metric_features["projected"] @ outputs.texts.T
        return {"loss_i2tce": self.scale * F.cross_entropy(logits, outputs.targets, label_smoothing=self.epsilon)}
